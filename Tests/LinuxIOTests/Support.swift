import Glibc
import Primitives
import Testing

@testable import LinuxIO

struct Unprivileged: Error, CustomStringConvertible {
    var description: String {
        "this test makes a network namespace and needs root; PENSTOCK_TESTS_UNPRIVILEGED=1 skips it"
    }
}

struct Failed: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

private final class Work: @unchecked Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private final class Outcome<T>: @unchecked Sendable {
    var result: Result<T, any Error>?
}

/// Runs `body` on a thread of its own and waits: what it does to its signal mask or its namespaces ends with it.
/// Expectations belong outside, on what it returns: the testing library does not know this thread.
func onThread<T>(_ body: @escaping @Sendable () throws -> T) throws -> T {
    let outcome = Outcome<T>()
    let work = Unmanaged.passRetained(Work { outcome.result = Result { try body() } })
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, work.toOpaque())
    guard code == 0 else { throw Failed("pthread_create: \(code)") }
    pthread_join(thread, nil)
    return try outcome.result!.get()
}

/// Runs `body` on a thread in an empty network namespace of its own, which vanishes with it. Loopback is up.
/// - Returns: nil when privileges are missing and the environment allows that; the test is then skipped.
func inNamespace<T>(_ body: @escaping @Sendable () throws -> T) throws -> T? {
    try onThread {
        do throws(SystemError) {
            try ThreadPrivileges.leaveNetworkNamespace()
        } catch {
            guard let value = getenv("PENSTOCK_TESTS_UNPRIVILEGED"), String(cString: value) == "1" else {
                throw Unprivileged()
            }
            print("skipped: no right to make a network namespace (\(error))")
            return nil
        }
        try Netlink().setUp(1)
        return try body()
    }
}

/// The output of a command, run in the calling thread's namespace.
func shell(_ command: String) throws -> String {
    guard let pipe = popen("( \(command) ) 2>&1", "re") else { throw Failed("popen") }
    var output: [UInt8] = []
    while case let byte = fgetc(pipe), byte != EOF { output.append(UInt8(byte)) }
    guard pclose(pipe) == 0 else { throw Failed("\(command): \(String(decoding: output, as: UTF8.self))") }
    return String(decoding: output, as: UTF8.self)
}

/// Calls `body` until it answers, for two seconds at most.
func eventually<T>(_ what: String, _ body: () throws -> T?) throws -> T {
    let deadline = MonotonicClock.now + .seconds(2)
    while MonotonicClock.now < deadline {
        if let value = try body() { return value }
        usleep(500)
    }
    throw Failed("waited too long for \(what)")
}

/// Bytes that differ at every place in a known way.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 + seed) &* 0x9E37 >> 7) }
}

let loopback4 = IPAddress("127.0.0.1")!
let loopback6 = IPAddress("::1")!

struct Datagram: Equatable, Sendable {
    var bytes: [UInt8]
    var from: Endpoint
    var to: Endpoint
    var ecn: UInt8
}

extension UDPSocket {
    /// Waits for this many datagrams.
    func collect(_ count: Int) throws -> [Datagram] {
        var datagrams: [Datagram] = []
        return try eventually("\(count) datagrams") {
            _ = receive({ datagrams.append(Datagram(bytes: Array($0), from: $1, to: $2, ecn: $3)) }, budget: 1000)
            return datagrams.count >= count ? datagrams : nil
        }
    }

    func sendAll(
        _ bytes: [UInt8], segmentSize: Int? = nil, to: Endpoint, from: Endpoint? = nil, ecn: UInt8 = 0
    ) throws(SystemError) -> SendResult {
        let result: Result<SendResult, SystemError> = bytes.withUnsafeBytes { buffer in
            do throws(SystemError) {
                return .success(
                    try send(buffer, segmentSize: segmentSize ?? buffer.count, to: to, from: from, ecn: ecn))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

extension EventLoop {
    /// Turns a few times without waiting.
    func turn(_ times: Int = 1) {
        var left = times
        run {
            if left == 0 { stop() }
            left -= 1
            return Instant(nanoseconds: 0)
        }
    }
}

extension TCPSocket {
    func send(_ bytes: [UInt8]) -> IOResult { bytes.withUnsafeBytes { write($0) } }

    /// One read, once something other than `.wouldBlock` comes.
    func receive(_ capacity: Int = 65_536) throws -> (result: IOResult, bytes: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: capacity)
        let result = try eventually("something to read") {
            let result = buffer.withUnsafeMutableBytes { read(into: $0) }
            return result == .wouldBlock ? nil : result
        }
        if case .bytes(let count) = result { return (result, Array(buffer[..<count])) }
        return (result, [])
    }
}
