import Synchronization

/// How many of something a user has, in all threads together, and how many are allowed.
public struct Tally: ~Copyable, Sendable {
    private let held = Atomic<Int>(0)
    private let most: Atomic<Int>
    private let denied = Atomic<Int>(0)

    /// - Parameter limit: nil for none.
    public init(limit: Int? = nil) { most = Atomic(limit ?? .max) }

    public var count: Int { held.load(ordering: .relaxed) }
    /// How often the limit was reached.
    public var refused: Int { denied.load(ordering: .relaxed) }
    public var limit: Int? {
        let limit = most.load(ordering: .relaxed)
        return limit == .max ? nil : limit
    }

    /// A lower limit takes nothing back: what there is may stay, and there is no more until it is less.
    public func set(limit: Int?) { most.store(limit ?? .max, ordering: .relaxed) }

    /// Takes one more, unless as many as may are there.
    public func take() -> Bool {
        // Adding first and looking then would let two threads refuse each other the last one.
        var known = held.load(ordering: .relaxed)
        while true {
            guard known < most.load(ordering: .relaxed) else {
                denied.wrappingAdd(1, ordering: .relaxed)
                return false
            }
            let (exchanged, original) = held.weakCompareExchange(
                expected: known, desired: known + 1, ordering: .relaxed)
            if exchanged { return true }
            known = original
        }
    }

    public func giveBack() { held.wrappingSubtract(1, ordering: .relaxed) }

    /// Adds what is there in any case, or takes it away: of bytes that are here already there is only the question what follows.
    public func adjust(by amount: Int) { held.wrappingAdd(amount, ordering: .relaxed) }

    /// Whether the limit is reached.
    public var isFull: Bool { count >= most.load(ordering: .relaxed) }
}
