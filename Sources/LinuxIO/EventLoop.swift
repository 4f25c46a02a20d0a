import CLinux
import Primitives

/// What a descriptor is ready for. Edge-triggered: told once, when it becomes so.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// There is something to read, or the end of the stream.
    public static let readable = Readiness(rawValue: 1)
    public static let writable = Readiness(rawValue: 2)
    /// Both directions are shut down, or the peer has reset. A peer's half-close alone is only `readable`.
    public static let hangup = Readiness(rawValue: 4)
    public static let error = Readiness(rawValue: 8)
}

/// Who owns a descriptor. Called on the loop's thread.
public protocol EventHandler: AnyObject {
    /// Reads and writes until the calls would block: what is left over is not told again. A handler that stops
    /// earlier, to be fair to others, makes `beforeWait` answer a deadline that has passed, and goes on there.
    func ready(_ readiness: Readiness)
}

/// Waits for descriptors, signals, jobs of other threads and one deadline, on epoll. For one thread;
/// only `post` and the `mailbox` may be used from others.
public final class EventLoop {
    /// Jobs of other threads.
    public let mailbox: Mailbox

    private struct Registration {
        let handler: any EventHandler
        let generation: UInt32
    }

    private let epoll: Descriptor
    private let events = UnsafeMutablePointer<clinux_event>.allocate(capacity: Int(CLINUX_EVENT_LIMIT))
    /// By descriptor. Small numbers, since the kernel always gives the lowest free one.
    private var registrations: [Registration?] = []
    /// Tells a descriptor from an earlier one of the same number whose events are still in the batch.
    private var generation: UInt32 = 0
    private var signals: SignalSource?
    private var stopped = false

    /// While the loop is woken more often than this, it sleeps for as long after each turn, though never past its deadline:
    /// what comes meanwhile is handled together, as network cards do with their interrupts. A wake-up costs more than a
    /// packet. Zero, as at the start, for never.
    public var moderation = Interval.zero
    private var woke = Instant(nanoseconds: 0)
    private var isBusy = false

    /// How often the loop has waited.
    public private(set) var turns = 0

    /// Also ignores SIGPIPE in the whole process: a peer that went away is an errno, not a signal.
    public init() throws(SystemError) {
        clinux_ignore_sigpipe()
        epoll = try Descriptor(clinux_epoll_create(), "epoll_create1")
        mailbox = try Mailbox()
        try add(mailbox.descriptor, MailboxHandler(mailbox), interest: .readable)
    }

    deinit { events.deallocate() }

    // MARK: Descriptors

    /// Watches a descriptor. The loop keeps the handler until `remove`.
    /// - Parameter interest: `readable`, `writable` or both; `hangup` and `error` are always told. A UDP socket should
    ///   be watched for writing only while a send is blocked: the kernel tells it writable after each datagram that
    ///   left (sock_def_write_space), and every time costs a turn. TUN devices and TCP sockets tell it only after
    ///   they were full.
    public func add(
        _ descriptor: Int32, _ handler: any EventHandler, interest: Readiness = [.readable, .writable]
    ) throws(SystemError) {
        generation &+= 1
        try checked(
            clinux_epoll_add(epoll.number, descriptor, tag(generation, descriptor), interest.rawValue),
            "watch descriptor \(descriptor)")
        let index = Int(descriptor)
        while registrations.count <= index { registrations.append(nil) }
        registrations[index] = Registration(handler: handler, generation: generation)
    }

    /// Changes what a descriptor is watched for. What it is ready for at this moment is told again, so no edge is lost.
    public func setInterest(_ interest: Readiness, of descriptor: Int32) {
        let index = Int(descriptor)
        guard registrations.indices.contains(index), let registration = registrations[index] else { return }
        _ = clinux_epoll_modify(
            epoll.number, descriptor, tag(registration.generation, descriptor), interest.rawValue)
    }

    private func tag(_ generation: UInt32, _ descriptor: Int32) -> UInt64 {
        UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
    }

    /// Watches no more. Call it before the descriptor is closed. Events of it that were already collected are not
    /// delivered, so a handler may remove itself and others.
    public func remove(_ descriptor: Int32) {
        let index = Int(descriptor)
        guard registrations.indices.contains(index), registrations[index] != nil else { return }
        _ = clinux_epoll_remove(epoll.number, descriptor)
        registrations[index] = nil
    }

    // MARK: Signals

    /// Calls `body` with the number of each of these signals that arrives; they are blocked in this thread.
    /// Call it before other threads start: a thread that has not blocked them would still take them.
    public func onSignal(_ numbers: [Int32], _ body: @escaping (Int32) -> Void) throws(SystemError) {
        if let signals { return try signals.add(numbers, body) }
        let source = try SignalSource(numbers, body)
        try add(source.descriptor, source, interest: .readable)
        signals = source
    }

    // MARK: Running

    /// Hands a job to the loop's thread. Callable from every thread.
    /// - Returns: false when the mailbox is full.
    @discardableResult
    public func post(_ job: @escaping @Sendable () -> Void) -> Bool { mailbox.post(job) }

    /// Ends `run` before it would wait again. On the loop's thread; when `run` has not begun, it ends at once.
    public func stop() { stopped = true }

    /// Waits and dispatches until `stop`.
    /// - Parameter beforeWait: called before each wait; the owner writes out what it has and answers its next
    ///   deadline, or nil when it has none. A deadline that has passed makes the loop look and not wait.
    public func run(beforeWait: () -> Instant?) {
        defer { stopped = false }
        while !stopped {
            let deadline = beforeWait()
            if stopped { break }
            turns += 1
            if moderation > .zero, isBusy { rest(deadline) }
            let count = clinux_epoll_wait(epoll.number, events, Self.timeout(until: deadline))
            precondition(count >= 0, "epoll_wait failed on the loop's own descriptor")
            if moderation > .zero { noteWaking() }
            for index in 0..<Int(count) { dispatch(events[index]) }
        }
    }

    private func rest(_ deadline: Instant?) {
        let end = woke + moderation
        clinux_sleep_until(min(end, deadline ?? end).nanoseconds)
    }

    /// Two wake-ups a rest apart are what a loop that rests sees of traffic that goes on.
    private func noteWaking() {
        let now = MonotonicClock.now
        isBusy = now - woke < moderation * 2
        woke = now
    }

    private func dispatch(_ event: clinux_event) {
        let index = Int(UInt32(truncatingIfNeeded: event.tag))
        guard let registration = registrations[index], registration.generation == UInt32(event.tag >> 32) else {
            return
        }
        registration.handler.ready(Readiness(rawValue: event.readiness))
    }

    /// Nanoseconds; -1 for ever.
    private static func timeout(until deadline: Instant?) -> Int64 {
        guard let deadline, deadline.nanoseconds != .max else { return -1 }
        return max(0, (deadline - MonotonicClock.now).nanoseconds)
    }
}
