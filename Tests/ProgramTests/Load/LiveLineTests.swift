import Load
import Primitives
import Testing

@testable import penstock

@Suite struct LiveLineTests {
    let start = Instant(nanoseconds: 1_000_000_000)

    private var totals: LoadTotals {
        var totals = LoadTotals()
        totals.bytesSent = 1_250_000
        totals.bytesReceived = 250_000
        totals.operations = 50
        totals.failures = 2
        totals.flowsOpen = 7
        return totals
    }

    @Test func aTerminalSeesOneLineInPlace() {
        var line = LiveLine(duration: .seconds(10), now: start, isTerminal: true)
        #expect(line.next == start + .milliseconds(500))
        let text = line.update(totals, now: start + .seconds(1))
        #expect(text == "\r1/10 s  up 10.0 Mbit/s  down 2.00 Mbit/s  50.0/s  7 flows  2 failures\u{1B}[K")
        #expect(line.end == "\r\u{1B}[K")
    }

    @Test func aFileSeesALineEveryFiveSeconds() {
        var line = LiveLine(duration: .seconds(10), now: start, isTerminal: false)
        #expect(line.next == start + .seconds(5))
        #expect(line.update(totals, now: line.next).hasSuffix("2 failures\n"))
        #expect(line.next == start + .seconds(10))
        #expect(line.end == "")
    }

    @Test func ratesAreThoseSinceTheLastLine() {
        var line = LiveLine(duration: .seconds(10), now: start, isTerminal: false)
        _ = line.update(totals, now: start + .seconds(1))
        let second = line.update(totals, now: start + .seconds(2))
        #expect(second == "2/10 s  up 0 bit/s  down 0 bit/s  0/s  7 flows  2 failures\n")
    }
}
