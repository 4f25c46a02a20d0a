import Primitives

/// What a link does to the datagrams or packets on it. Probabilities are per datagram, from 0 to 1.
public struct LinkConditions: Sendable {
    /// One-way delay.
    public var delay: Interval
    /// Added to the delay, uniform from zero to this.
    public var jitter: Interval
    public var loss: Double
    public var duplication: Double
    /// How many datagrams overtake those before them: they skip the delay.
    public var reordering: Double
    /// How many datagrams arrive with one bit flipped.
    public var corruption: Double
    /// Bits per second; nil for no bottleneck.
    public var rate: Int?
    /// Bytes that wait before the bottleneck; what comes on top is dropped.
    public var queueLimit: Int
    /// Datagrams larger than this many bytes are dropped, as a path with a small MTU does.
    public var mtu: Int

    public init(
        delay: Interval = .milliseconds(10), jitter: Interval = .zero, loss: Double = 0, duplication: Double = 0,
        reordering: Double = 0, corruption: Double = 0, rate: Int? = nil, queueLimit: Int = 1 << 20, mtu: Int = 65_535
    ) {
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.duplication = duplication
        self.reordering = reordering
        self.corruption = corruption
        self.rate = rate
        self.queueLimit = queueLimit
        self.mtu = mtu
    }
}

/// One direction of an emulated link on a virtual clock: datagrams go in with `send` and come out of `receive` when
/// their time has come. Everything random comes from the seed.
public struct SimLink {
    public struct Counters: Equatable, Sendable {
        public var delivered = 0
        public var lost = 0
        public var duplicated = 0
        /// Launched without the delay, past those before them.
        public var reordered = 0
        public var corrupted = 0
        public var overflowed = 0
        public var tooLarge = 0
        public var bytes = 0
    }

    public var conditions: LinkConditions
    /// A cut link loses everything that is sent.
    public var isCut = false
    public private(set) var counters = Counters()

    private struct Flight {
        var arrival: Instant
        var order: Int
        var bytes: [UInt8]
    }

    private var random: SeededRandom
    /// Sorted with the earliest arrival last, so that taking it off is cheap.
    private var inFlight: [Flight] = []
    private var order = 0
    private var wireFree = Instant(nanoseconds: 0)

    public init(_ conditions: LinkConditions = LinkConditions(), seed: UInt64) {
        self.conditions = conditions
        random = SeededRandom(seed: seed)
    }

    public mutating func send(_ bytes: [UInt8], now: Instant) {
        if isCut || random.chance(conditions.loss) {
            counters.lost += 1
            return
        }
        if bytes.count > conditions.mtu {
            counters.tooLarge += 1
            return
        }
        launch(bytes, now: now)
        if random.chance(conditions.duplication) {
            counters.duplicated += 1
            launch(bytes, now: now)
        }
    }

    private mutating func launch(_ bytes: [UInt8], now: Instant) {
        var leaves = now
        if let rate = conditions.rate {
            wireFree = max(wireFree, now)
            let backlog = Int(Double((wireFree - now).nanoseconds) * Double(rate) / 8e9)
            if backlog > conditions.queueLimit {
                counters.overflowed += 1
                return
            }
            wireFree = wireFree + .nanoseconds(Int64(Double(bytes.count) * 8e9 / Double(rate)))
            leaves = wireFree
        }
        var arrival = leaves
        if random.chance(conditions.reordering) {
            counters.reordered += 1
        } else {
            arrival = arrival + conditions.delay
            if conditions.jitter > .zero {
                arrival = arrival + .nanoseconds(.random(in: 0...conditions.jitter.nanoseconds, using: &random))
            }
        }
        var bytes = bytes
        if !bytes.isEmpty, random.chance(conditions.corruption) {
            counters.corrupted += 1
            bytes[.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
        insert(Flight(arrival: arrival, order: order, bytes: bytes))
        order += 1
    }

    private mutating func insert(_ flight: Flight) {
        var low = 0
        var high = inFlight.count
        while low < high {
            let middle = (low + high) / 2
            let other = inFlight[middle]
            if (other.arrival, other.order) > (flight.arrival, flight.order) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        inFlight.insert(flight, at: low)
    }

    public var nextArrival: Instant? { inFlight.last?.arrival }
    public var isEmpty: Bool { inFlight.isEmpty }

    /// The next datagram that has arrived by `now`.
    public mutating func receive(now: Instant) -> [UInt8]? {
        guard let last = inFlight.last, last.arrival <= now else { return nil }
        inFlight.removeLast()
        counters.delivered += 1
        counters.bytes += last.bytes.count
        return last.bytes
    }
}
