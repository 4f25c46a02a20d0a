import Primitives

/// Times at which things are due at a fixed rate, from a beginning to an end.
///
/// What is due does not wait for what came before: whoever is late takes the oldest time that was not taken yet, and
/// measures from that. So a target that stalls shows as late answers to everything that was due meanwhile, not as one slow
/// answer and a pause (what is known as coordinated omission).
struct ArrivalSchedule {
    private let start: Instant
    /// Nanoseconds between two arrivals.
    private let spacing: Double
    private var taken = 0
    private var count: Int

    init(start: Instant, duration: Interval, rate: Double) {
        self.start = start
        spacing = 1e9 / rate
        // At least one, also when the first would be due right at the end.
        count = max(1, Int(exactly: (duration.seconds * rate).rounded(.down)) ?? .max)
    }

    private func time(of index: Int) -> Instant {
        start + .nanoseconds(Int64(exactly: (Double(index) * spacing).rounded(.down)) ?? .max)
    }

    /// When the next one is due; nil after the last.
    var next: Instant? { taken < count ? time(of: taken) : nil }

    /// Takes the oldest one that is due.
    mutating func take(now: Instant) -> Instant? {
        guard let next, next <= now else { return nil }
        taken += 1
        return next
    }

    /// How many are due and were not taken.
    func waiting(now: Instant) -> Int {
        guard now >= start else { return 0 }
        // The division may be off by one where a time was rounded.
        var due = min(count, Int(exactly: (Double((now - start).nanoseconds) / spacing).rounded(.down)) ?? count)
        while due < count, time(of: due) <= now { due += 1 }
        while due > 0, time(of: due - 1) > now { due -= 1 }
        return max(0, due - taken)
    }

    /// When the oldest and the youngest became due of those that are waiting; nil where none is.
    func waitingTimes(now: Instant) -> ClosedRange<Instant>? {
        let waiting = waiting(now: now)
        return waiting > 0 ? time(of: taken)...time(of: taken + waiting - 1) : nil
    }

    /// Nothing more becomes due from here on.
    mutating func cut(now: Instant) { count = min(count, taken + waiting(now: now)) }
}
