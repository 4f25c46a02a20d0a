import Glibc
import Primitives

/// What a process has used so far, as /proc tells it (proc(5)).
public struct ProcessUsage: Equatable, Sendable {
    /// In user and kernel mode together, of all its threads. The kernel counts in hundredths of a second.
    public var cpu: Interval
    /// Bytes of memory that are resident, and of these the anonymous ones: what it allocated, without files.
    public var resident: UInt64
    public var anonymous: UInt64
    /// Clock ticks from the system's boot to the process's start: tells it from a later one of the same number.
    public var startTicks: UInt64

    /// This process.
    public static var own: ProcessUsage? { ProcessUsage(of: getpid()) }

    /// Nil when there is no such process, or it has ended.
    public init?(of pid: Int32) {
        guard let stat = readProcFile("/proc/\(pid)/stat"), let status = readProcFile("/proc/\(pid)/status") else {
            return nil
        }
        self.init(stat: stat, status: status, ticksPerSecond: Int64(max(sysconf(Int32(_SC_CLK_TCK)), 1)))
    }

    init?(stat: String, status: String, ticksPerSecond: Int64) {
        // The second field is the program's name in parentheses, which may hold anything, parentheses and spaces too.
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        // The fields from the third on.
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", let user = Int64(fields[11]), let system = Int64(fields[12]),
            let start = UInt64(fields[19])
        else { return nil }
        cpu = .nanoseconds((user + system) * (1_000_000_000 / ticksPerSecond))
        startTicks = start
        resident = Self.bytes("VmRSS:", in: status)
        anonymous = Self.bytes("RssAnon:", in: status)
    }

    private static func bytes(_ key: String, in status: String) -> UInt64 {
        for line in status.split(separator: "\n") where line.hasPrefix(key) {
            let number = line.dropFirst(key.count).split(whereSeparator: { $0 == " " || $0 == "\t" }).first
            return number.flatMap { UInt64($0) }.map { $0 * 1_024 } ?? 0
        }
        return 0
    }
}

/// The kernel's name and release, the machine's kind, and how many processors are in use.
public func machineText() -> String {
    var name = utsname()
    guard uname(&name) == 0 else { return "unknown" }
    func text<T>(_ field: T) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    return "\(text(name.sysname)) \(text(name.release)) \(text(name.machine)), \(processors) processors"
}

/// The number of this process.
public var ownProcessID: Int32 { getpid() }

/// A whole file of /proc; nil when it cannot be read.
private func readProcFile(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0 && errno == EINTR { continue }
        if count < 0 { return nil }
        if count == 0 { return String(decoding: contents, as: UTF8.self) }
        contents += buffer[..<count]
    }
}
