import Primitives

/// Slows down those who try logins until one is right: failures are counted by where they come from and by the name they ask for.
///
/// All counts are token buckets kept as one moment each, like `RateGate`. A failure puts the moment off by `penalty`; while
/// another one would put it more than `patience` ahead, logins are refused unheard. So there are `patience / penalty` failures at once, and one in each
/// `penalty` after that.
///
/// Names that do not exist count like names that do: the answers do not tell them apart. A user under attack from many places waits,
/// too, but is let in by where it comes from, if it came in from there before (`succeeded`).
public struct LoginLimiter {
    public struct Settings: Sendable {
        /// Places and names that are remembered, each; the one that is nearest to being forgotten goes first.
        public var capacity = 4_096
        /// What a failure costs its source, and its name.
        public var penalty = Interval.seconds(20)
        /// How much a source may owe.
        public var sourcePatience = Interval.seconds(200)
        /// How much the /48 of an IPv6 address may owe, which a whole site may have or many subscribers share (RFC 6177).
        public var sitePatience = Interval.seconds(800)
        /// How much a name may owe. More, as it may be others who owe it.
        public var namePatience = Interval.seconds(600)

        public init() {}
    }

    /// What was counted; everything only grows, but for `remembered`.
    public struct Counters: Equatable, Sendable {
        public var failures = 0
        /// Logins refused unheard.
        public var refused = 0
        /// Entries that were forgotten before their time, to make room.
        public var evicted = 0
    }

    /// An IPv4 address or the first 64 bits of an IPv6 address: whoever has one of these has all of them.
    public struct Source: Hashable, Sendable {
        let bits: UInt64
        let isIPv4: Bool
        /// The first 48 bits of an IPv6 address: 65 536 sources that one may have.
        var site: UInt64? { isIPv4 ? nil : bits >> 16 }

        public init(_ address: IPAddress) {
            switch address.unmapped {
            case .v4(let a): (bits, isIPv4) = (UInt64(a.value), true)
            case .v6(let a): (bits, isIPv4) = (a.high, false)
            }
        }
    }

    public let settings: Settings
    public private(set) var counters = Counters()
    private var sources: Debts<Source>
    private var sites: Debts<UInt64>
    private var names: Debts<UserName>
    /// Where users came in from.
    private var known: Debts<Pair>

    private struct Pair: Hashable {
        let source: Source
        let name: UserName
    }

    public init(settings: Settings = Settings()) {
        self.settings = settings
        sources = Debts(capacity: settings.capacity)
        sites = Debts(capacity: settings.capacity)
        names = Debts(capacity: settings.capacity)
        known = Debts(capacity: settings.capacity)
    }

    /// Entries in all tables.
    public var remembered: Int { sources.count + sites.count + names.count + known.count }

    /// Asked before anything is looked up or calculated.
    /// - Returns: nil when the login may be tried, else how long to wait.
    public mutating func wait(for source: Source, name: UserName?, now: Instant) -> Interval? {
        var wait = sources.excess(source, over: settings.sourcePatience - settings.penalty, now: now)
        // What neighbours try, or others with the same name, is no matter of who has come in from here.
        let isKnown = name.map { known.excess(Pair(source: source, name: $0), over: .zero, now: now) != nil } ?? false
        if !isKnown {
            if let site = source.site {
                wait = longer(wait, sites.excess(site, over: settings.sitePatience - settings.penalty, now: now))
            }
            if let name {
                wait = longer(wait, names.excess(name, over: settings.namePatience - settings.penalty, now: now))
            }
        }
        if wait != nil { counters.refused += 1 }
        return wait
    }

    public mutating func failed(_ source: Source, name: UserName?, now: Instant) {
        counters.failures += 1
        counters.evicted += sources.add(settings.penalty, to: source, now: now)
        if let site = source.site { counters.evicted += sites.add(settings.penalty, to: site, now: now) }
        if let name { counters.evicted += names.add(settings.penalty, to: name, now: now) }
    }

    /// A right password pays what its owner's typing errors cost, and the place is known for `knownFor`.
    public mutating func succeeded(_ source: Source, name: UserName, now: Instant) {
        names.forget(name)
        let pair = Pair(source: source, name: name)
        known.forget(pair)
        counters.evicted += known.add(Self.knownFor, to: pair, now: now)
    }

    /// How long a place stands for its user after a login.
    static let knownFor = Interval.seconds(86_400)

    private func longer(_ a: Interval?, _ b: Interval?) -> Interval? {
        switch (a, b) {
        case (let a?, let b?): max(a, b)
        case (let a?, nil): a
        case (nil, let b): b
        }
    }
}

/// Moments until which something is owed, by key; a bounded table. What is paid is forgotten when room is needed.
private struct Debts<Key: Hashable> {
    private let capacity: Int
    private var until: [Key: Instant] = [:]

    init(capacity: Int) { self.capacity = max(capacity, 1) }

    var count: Int { until.count }

    /// How long until no more than `patience` is owed; nil when that is so now.
    func excess(_ key: Key, over patience: Interval, now: Instant) -> Interval? {
        guard let moment = until[key] else { return nil }
        let excess = moment - now - patience
        return excess > .zero ? excess : nil
    }

    /// - Returns: how many others that still owed were forgotten for it: one at most.
    mutating func add(_ time: Interval, to key: Key, now: Instant) -> Int {
        if let moment = until[key] {
            until[key] = max(moment, now) + time
            return 0
        }
        var evicted = 0
        if until.count >= capacity {
            until = until.filter { $0.value > now }
            if until.count >= capacity, let first = until.min(by: { $0.value < $1.value }) {
                until[first.key] = nil
                evicted = 1
            }
        }
        until[key] = now + time
        return evicted
    }

    mutating func forget(_ key: Key) { until[key] = nil }
}
