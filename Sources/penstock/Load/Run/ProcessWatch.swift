import LinuxIO
import Load
import Primitives

/// Follows what processes use while a run goes on.
struct ProcessWatch {
    /// A process to follow, as `--watch NAME=PID` names it.
    struct Subject: Hashable, Sendable {
        var name: String
        var pid: Int32
    }

    private let subject: Subject
    private let first: ProcessUsage
    private var last: ProcessUsage
    private var residentPeak: UInt64
    private var anonymousPeak: UInt64
    private var hasEnded = false

    /// Nil when there is no such process.
    init?(_ subject: Subject) {
        guard let usage = ProcessUsage(of: subject.pid) else { return nil }
        self.subject = subject
        first = usage
        last = usage
        residentPeak = usage.resident
        anonymousPeak = usage.anonymous
    }

    mutating func sample() {
        guard !hasEnded else { return }
        guard let usage = ProcessUsage(of: subject.pid), usage.startTicks == first.startTicks else {
            hasEnded = true
            return
        }
        last = usage
        residentPeak = max(residentPeak, usage.resident)
        anonymousPeak = max(anonymousPeak, usage.anonymous)
    }

    var result: ProcessResult {
        ProcessResult(
            name: subject.name, pid: Int(subject.pid), cpuSeconds: (last.cpu - first.cpu).seconds,
            resident: last.resident, residentPeak: residentPeak, anonymous: last.anonymous,
            anonymousPeak: anonymousPeak, ended: hasEnded)
    }
}
