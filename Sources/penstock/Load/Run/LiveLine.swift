import Foundation
import Load
import Primitives

/// One line about how a run goes: rewritten in place on a terminal, else a line now and then.
struct LiveLine {
    private static let terminalInterval = Interval.milliseconds(500)
    private static let fileInterval = Interval.seconds(5)

    private let isTerminal: Bool
    private(set) var next: Instant
    private var last = LoadTotals()
    private var lastTime: Instant
    private let start: Instant
    private let duration: Interval

    init(duration: Interval, now: Instant, isTerminal: Bool = isatty(STDERR_FILENO) == 1) {
        self.isTerminal = isTerminal
        self.duration = duration
        start = now
        lastTime = now
        next = now + (isTerminal ? Self.terminalInterval : Self.fileInterval)
    }

    /// What to print at this moment, control characters included.
    mutating func update(_ totals: LoadTotals, now: Instant) -> String {
        let text = line(totals, now: now)
        last = totals
        lastTime = now
        next = now + (isTerminal ? Self.terminalInterval : Self.fileInterval)
        // Back to the line's beginning; erase what is left of the former text (ECMA-48, EL).
        return isTerminal ? "\r\(text)\u{1B}[K" : "\(text)\n"
    }

    /// Leaves the place free for what comes next.
    var end: String { isTerminal ? "\r\u{1B}[K" : "" }

    private func line(_ totals: LoadTotals, now: Instant) -> String {
        let seconds = max((now - lastTime).seconds, 1e-9)
        func rate(_ value: KeyPath<LoadTotals, UInt64>) -> Double {
            Double(totals[keyPath: value] - last[keyPath: value]) / seconds
        }
        return "\(NumberText.fixed((now - start).seconds, 0))/\(NumberText.fixed(duration.seconds, 0)) s"
            + "  up \(NumberText.bitRate(rate(\.bytesSent) * 8))  down \(NumberText.bitRate(rate(\.bytesReceived) * 8))"
            + "  \(NumberText.short(rate(\.operations)))/s  \(totals.flowsOpen) flows  \(totals.failures) failures"
    }
}

/// Writes to standard error as it is.
func printProgress(_ text: String) {
    if !text.isEmpty { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }
}
