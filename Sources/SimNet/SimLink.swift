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
    /// Bytes waiting before the bottleneck from which on capable datagrams are marked as having met congestion (RFC 3168,
    /// section 5).
    public var markAbove: Int?
    /// Clears the ECN field of all datagrams, as some routers do.
    public var clearsECN = false
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
        /// Marked as having met congestion.
        public var marked = 0
        public var tooLarge = 0
        public var bytes = 0
    }

    public var conditions: LinkConditions
    /// A cut link loses everything that is sent.
    public var isCut = false
    public private(set) var counters = Counters()

    /// What comes out of the link.
    public struct Datagram: Sendable {
        public var bytes: [UInt8]
        /// The ECN codepoint, 0 to 3 (RFC 3168, section 5).
        public var ecn: UInt8
    }

    private struct Flight {
        var arrival: Instant
        var order: Int
        var datagram: Datagram
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

    public mutating func send(_ bytes: [UInt8], ecn: UInt8 = 0, now: Instant) {
        if isCut || random.chance(conditions.loss) {
            counters.lost += 1
            return
        }
        if bytes.count > conditions.mtu {
            counters.tooLarge += 1
            return
        }
        launch(bytes, ecn: ecn, now: now)
        if random.chance(conditions.duplication) {
            counters.duplicated += 1
            launch(bytes, ecn: ecn, now: now)
        }
    }

    private mutating func launch(_ bytes: [UInt8], ecn: UInt8, now: Instant) {
        var leaves = now
        var ecn = conditions.clearsECN ? 0 : ecn
        if let rate = conditions.rate {
            wireFree = max(wireFree, now)
            let backlog = Int(Double((wireFree - now).nanoseconds) * Double(rate) / 8e9)
            if backlog > conditions.queueLimit {
                counters.overflowed += 1
                return
            }
            if let threshold = conditions.markAbove, backlog > threshold, ecn != 0 {
                counters.marked += 1
                ecn = 3
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
        insert(Flight(arrival: arrival, order: order, datagram: Datagram(bytes: bytes, ecn: ecn)))
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

    /// The bytes of the next datagram that has arrived by `now`.
    public mutating func receive(now: Instant) -> [UInt8]? { receiveDatagram(now: now)?.bytes }

    /// The next datagram that has arrived by `now`.
    public mutating func receiveDatagram(now: Instant) -> Datagram? {
        guard let last = inFlight.last, last.arrival <= now else { return nil }
        inFlight.removeLast()
        counters.delivered += 1
        counters.bytes += last.datagram.bytes.count
        return last.datagram
    }
}
