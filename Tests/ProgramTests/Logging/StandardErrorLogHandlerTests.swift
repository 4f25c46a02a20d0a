import Foundation
import Logging
import Testing

@testable import penstock

@Suite struct StandardErrorLogHandlerTests {
    let moment = Date(timeIntervalSince1970: 1_767_323_045.125)
    let stamped = StandardErrorLogHandler(component: "client", style: .stamped, logLevel: .info)
    let journald = StandardErrorLogHandler(component: "server", style: .journald, logLevel: .info)

    @Test func aStampedLine() {
        #expect(
            stamped.line(.info, "connected", ["server": "192.0.2.2:4433", "attempt": "2"], at: moment)
                == "2026-01-02T03:04:05.125Z info client: connected attempt=2 server=192.0.2.2:4433")
    }

    @Test(arguments: [
        (Logger.Level.critical, 2), (.error, 3), (.warning, 4), (.notice, 5), (.info, 6), (.debug, 7), (.trace, 7),
    ]) func aLineForTheJournal(level: Logger.Level, priority: Int) {
        #expect(journald.line(level, "ready", [:], at: moment) == "<\(priority)>server: ready")
    }

    @Test func valuesThatNeedQuotes() {
        let fields: Logger.Metadata = ["a": "two words", "b": "say \"x\\y\"", "c": "", "d": "k=v"]
        #expect(
            journald.line(.info, "m", fields, at: moment)
                == #"<6>server: m a="two words" b="say \"x\\y\"" c="" d="k=v""#)
    }

    @Test func controlCharactersStayInOneLine() {
        #expect(
            journald.line(.info, "a\nb", ["k": "\u{1B}[31m\u{9B}x"], at: moment)
                == "<6>server: a\u{FFFD}b k=\u{FFFD}[31m\u{FFFD}x")
    }

    @Test func metadataOfTheEntryWins() {
        var handler = stamped
        handler[metadataKey: "a"] = "1"
        #expect(handler[metadataKey: "a"] == "1")
        #expect(handler.metadata == ["a": "1"])
    }
}
