import Primitives
import Synchronization

/// A user who is logged in: what all loops count together while they work, each on its own thread.
///
/// One exists for each user, whatever the number of sessions, and it outlives them for a while: who leaves and comes back
/// still owes what was owed. Everything in it is atomic; a packet takes no lock.
public final class Account: Sendable {
    /// The user's row, which no later user of the same name has; negative for a client of the configuration's own list.
    public let id: Int64
    public let name: UserName

    public let sessions = Tally()
    public let flows = Tally()
    public let halfOpen = Tally()
    public let associations = Tally()
    public let bufferedBytes = Tally()
    /// Those of them that wait for the client: half of them all at most, so that neither direction stops the other.
    public let bufferedDown = Tally()
    /// Payload from the user, and to the user.
    public let up = RateGate(rate: nil)
    public let down = RateGate(rate: nil)
    /// What datagrams may have of these while streams wait for them: half. They would leave streams nothing, which let them go first.
    private let upBesideStreams = RateGate(rate: nil)
    private let downBesideStreams = RateGate(rate: nil)

    /// Flows that wait for a rate, of all sessions.
    private let waitingUp = Atomic<Int>(0)
    private let waitingDown = Atomic<Int>(0)
    private let sentUp = Atomic<Int>(0)
    private let sentDown = Atomic<Int>(0)
    private let quotaLeft = Atomic<Int>(.max)
    private let dropped = Atomic<Int>(0)
    private let rules = Mutex<[DestinationRule]>([])
    private let rulesVersion = Atomic<Int>(0)

    public init(id: Int64, name: UserName, limits: UserLimits) {
        self.id = id
        self.name = name
        apply(limits)
    }

    /// Takes other limits, for what comes from now on; the quota is a matter of `set(quotaLeft:)`.
    public func apply(_ limits: UserLimits) {
        sessions.set(limit: limits.sessions)
        flows.set(limit: limits.flows)
        halfOpen.set(limit: limits.halfOpen)
        associations.set(limit: limits.associations)
        bufferedBytes.set(limit: limits.bufferedBytes)
        bufferedDown.set(limit: limits.bufferedBytes.map { $0 / 2 })
        up.set(rate: limits.rateUp)
        down.set(rate: limits.rateDown)
        upBesideStreams.set(rate: limits.rateUp.map { $0 / 2 })
        downBesideStreams.set(rate: limits.rateDown.map { $0 / 2 })
        let isChanged = rules.withLock { rules in
            guard rules != limits.destinations else { return false }
            rules = limits.destinations
            return true
        }
        if isChanged { rulesVersion.wrappingAdd(1, ordering: .releasing) }
    }

    // MARK: - Destinations

    /// Goes up when the destinations change: a verdict that was kept is then to be asked for again.
    public var destinationsVersion: Int { rulesVersion.load(ordering: .acquiring) }

    /// For the beginning of a flow, or the first datagram to a far end; it takes a lock.
    public func allows(_ endpoint: Endpoint, name: String? = nil) -> Bool {
        rules.withLock { $0.allow(endpoint, name: name) }
    }

    /// Whether some address of a name may be allowed: what cannot be is not even looked up.
    public func mayAllow(_ name: String, port: UInt16) -> Bool {
        rules.withLock { $0.isEmpty || $0.contains { $0.mayAllow(name, port: port) } }
    }

    // MARK: - Usage

    public enum Direction: Sendable { case up, down }

    /// Notes payload that has passed.
    /// - Returns: false when the quota is spent.
    @discardableResult
    public func pass(_ count: Int, _ direction: Direction, now: Instant) -> Bool {
        switch direction {
        case .up: up.charge(count, now: now)
        case .down: down.charge(count, now: now)
        }
        return note(count, direction)
    }

    /// What a datagram counts at least, in bytes: one without payload costs the network a packet all the same.
    public static let leastDatagram = 64

    /// A datagram, which passes whole or not at all.
    /// - Returns: whether the rate lets it pass; then it is noted.
    public func take(_ count: Int, _ direction: Direction, now: Instant) -> Bool {
        let count = max(count, Self.leastDatagram)
        let passes =
            switch direction {
            case .up:
                (waitingUp.load(ordering: .relaxed) <= 0 || upBesideStreams.take(count, now: now))
                    && up.take(count, now: now)
            case .down:
                (waitingDown.load(ordering: .relaxed) <= 0 || downBesideStreams.take(count, now: now))
                    && down.take(count, now: now)
            }
        guard passes else {
            dropped.wrappingAdd(1, ordering: .relaxed)
            return false
        }
        note(count, direction)
        return true
    }

    /// Flows have begun to wait for a rate, or ceased.
    public func noteWaiting(_ count: Int, _ direction: Direction) {
        switch direction {
        case .up: waitingUp.wrappingAdd(count, ordering: .relaxed)
        case .down: waitingDown.wrappingAdd(count, ordering: .relaxed)
        }
    }

    @discardableResult
    private func note(_ count: Int, _ direction: Direction) -> Bool {
        switch direction {
        case .up: sentUp.wrappingAdd(count, ordering: .relaxed)
        case .down: sentDown.wrappingAdd(count, ordering: .relaxed)
        }
        guard quotaLeft.load(ordering: .relaxed) != .max else { return true }
        return quotaLeft.wrappingSubtract(count, ordering: .relaxed).newValue > 0
    }

    /// - Parameter left: bytes that may still pass; nil without a quota.
    public func set(quotaLeft left: Int?) { quotaLeft.store(left ?? .max, ordering: .relaxed) }

    public var hasQuota: Bool { quotaLeft.load(ordering: .relaxed) != .max }

    /// Bytes that may still pass; `.max` without a quota.
    public var quotaRoom: Int { max(quotaLeft.load(ordering: .relaxed), 0) }

    public var isQuotaSpent: Bool { quotaLeft.load(ordering: .relaxed) <= 0 }

    /// Datagrams that the rate did not let pass.
    public var datagramsDropped: Int { dropped.load(ordering: .relaxed) }

    /// What has passed since this was called last, to be written down; the caller has it then.
    public func takeUsage() -> Usage {
        Usage(up: sentUp.exchange(0, ordering: .relaxed), down: sentDown.exchange(0, ordering: .relaxed))
    }

    /// Gives back what could not be written.
    public func giveBack(_ usage: Usage) {
        sentUp.wrappingAdd(usage.up, ordering: .relaxed)
        sentDown.wrappingAdd(usage.down, ordering: .relaxed)
    }
}

/// Bytes of payload, from a user and to the user.
public struct Usage: Hashable, Sendable {
    public var up: Int
    public var down: Int

    public init(up: Int = 0, down: Int = 0) {
        self.up = up
        self.down = down
    }

    public var isEmpty: Bool { up == 0 && down == 0 }
    /// Saturates: a file can say anything.
    public var total: Int {
        let (sum, overflow) = up.addingReportingOverflow(down)
        return overflow ? .max : sum
    }
}

/// A session's place among those of its user; given back with the last reference, however the session ends.
public final class Seat: Sendable {
    public let account: Account

    /// Nil when the user has as many sessions as may be.
    public init?(_ account: Account) {
        guard account.sessions.take() else { return nil }
        self.account = account
    }

    deinit { account.sessions.giveBack() }
}

/// A seat is itself and no other one.
extension Seat: Hashable {
    public static func == (a: Seat, b: Seat) -> Bool { a === b }
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
