import CCares
import Primitives

/// Asks name servers for the addresses of names, many at once, on an event loop. Names are asked about as they are: no
/// search list is tried and no hosts file is read. Nothing is kept: who asks twice gets two answers.
public final class NameResolver {
    public enum Answer: Equatable, Sendable {
        /// The addresses, never none, and how long all of them are good.
        case addresses([IPAddress], lifetime: Interval)
        /// There is no such name, or it has no address of this family.
        case none
        /// No server gave an answer.
        case failed
    }

    /// Each server is asked so often, each time for twice as long.
    static let tries: Int32 = 2

    /// Called with the number of the query; for some also before `ask` returns.
    public var onAnswer: (UInt64, Answer) -> Void = { _, _ in }
    /// Queries under way.
    public private(set) var pending = 0

    private let loop: EventLoop
    private var channel: OpaquePointer?
    /// What the loop watches for c-ares.
    private var watched: [Int32: Readiness] = [:]

    /// - Parameters:
    ///   - servers: where to ask; when empty, those that /etc/resolv.conf names now.
    ///   - timeout: how long a server may take the first time.
    public init(loop: EventLoop, servers: [Endpoint], timeout: Interval) throws(NameResolverError) {
        self.loop = loop
        let milliseconds = Int32(clamping: max(1, timeout.nanoseconds / 1_000_000))
        let list = servers.map(\.description).joined(separator: ",")
        let context = Unmanaged.passUnretained(self).toOpaque()
        let watch: ccares_watch = { context, descriptor, readable, writable in
            NameResolver.from(context).watch(descriptor, readable != 0, writable != 0)
        }
        let answer: ccares_answer = { context, query, status, addresses, count in
            NameResolver.from(context).answered(query, status, UnsafeBufferPointer(start: addresses, count: Int(count)))
        }
        let code = ccares_open(
            &channel, servers.isEmpty ? nil : list, milliseconds, Self.tries, watch, answer, context)
        guard code == 0 else { throw NameResolverError(reason: String(cString: ccares_error_text(code))) }
    }

    /// Where questions come from, from now on. Name servers on a loopback address are asked over loopback all the same: what these do
    /// is theirs to say.
    /// - Parameters:
    ///   - ipv4: the address towards IPv4 servers; nil for the kernel's choice.
    ///   - interface: the only one to use; nil for the one that the routes name. Where it is not there, no server answers.
    public func setSource(ipv4: IPv4Address?, ipv6: IPv6Address?, interface: String?) {
        var four = ccares_address(high: 0, low: UInt64(ipv4?.value ?? 0), lifetime: 0)
        var six = ccares_address(high: ipv6?.high ?? 0, low: ipv6?.low ?? 0, lifetime: 0)
        withUnsafePointer(to: &four) { four in
            withUnsafePointer(to: &six) { six in
                ccares_set_source(channel, interface, ipv4 == nil ? nil : four, ipv6 == nil ? nil : six)
            }
        }
    }

    deinit {
        guard let channel else { return }
        // c-ares tells of every socket that it closes.
        ccares_close(channel)
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> NameResolver {
        Unmanaged<NameResolver>.fromOpaque(context!).takeUnretainedValue()
    }

    /// Asks for the addresses of one family.
    /// - Parameter name: in ASCII.
    public func ask(_ name: String, _ family: AddressFamily, query: UInt64) {
        pending += 1
        ccares_query(channel, name, family == .ipv6 ? 1 : 0, query)
        setDeadline()
    }

    /// When `handleTimeout` is due.
    public private(set) var nextDeadline: Instant?

    /// Goes on to the next server, or gives up, where the time is over.
    public func handleTimeout() {
        ccares_process(channel, -1, -1)
        setDeadline()
    }

    /// c-ares says how long it is from now: kept as a moment, which does not move on with every question.
    private func setDeadline() {
        let left = pending > 0 ? ccares_timeout(channel) : -1
        nextDeadline = left < 0 ? nil : MonotonicClock.now + .milliseconds(left)
    }

    private func answered(_ query: UInt64, _ status: ccares_status, _ found: UnsafeBufferPointer<ccares_address>) {
        pending -= 1
        switch status {
        case CCARES_ADDRESSES:
            let lifetime = found.map(\.lifetime).min() ?? 0
            onAnswer(
                query,
                .addresses(found.map { IPAddress(high: $0.high, low: $0.low) }, lifetime: .seconds(Int64(lifetime))))
        case CCARES_NONE: onAnswer(query, .none)
        default: onAnswer(query, .failed)
        }
    }

    // MARK: Sockets of c-ares

    private func watch(_ descriptor: Int32, _ readable: Bool, _ writable: Bool) {
        var interest: Readiness = []
        if readable { interest.insert(.readable) }
        if writable { interest.insert(.writable) }
        if interest.isEmpty {
            watched[descriptor] = nil
            loop.remove(descriptor)
        } else if watched.updateValue(interest, forKey: descriptor) != nil {
            loop.setInterest(interest, of: descriptor)
        } else {
            // Where the kernel has no room for one more, the query runs into its timeout.
            try? loop.add(descriptor, Watch(descriptor, self), interest: interest)
        }
    }

    fileprivate func ready(_ descriptor: Int32, _ readiness: Readiness) {
        let reads = !readiness.isDisjoint(with: [.readable, .error, .hangup])
        ccares_process(channel, reads ? descriptor : -1, readiness.contains(.writable) ? descriptor : -1)
        // c-ares reads once from a TCP connection; told anew, the loop says whether more waits.
        if let interest = watched[descriptor] { loop.setInterest(interest, of: descriptor) }
        setDeadline()
    }

    private final class Watch: EventHandler {
        private let descriptor: Int32
        private unowned let resolver: NameResolver

        init(_ descriptor: Int32, _ resolver: NameResolver) {
            self.descriptor = descriptor
            self.resolver = resolver
        }

        func ready(_ readiness: Readiness) { resolver.ready(descriptor, readiness) }
    }
}

/// Name servers cannot be asked at all.
public struct NameResolverError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The library's own text.
    public let reason: String
    public var description: String { "name servers cannot be asked: \(reason)" }
}
