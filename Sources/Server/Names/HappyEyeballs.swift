import Primitives

/// The race of one flow's attempts to connect to the addresses of a name (RFC 8305): both families are looked up at once,
/// IPv6 is preferred by a little, and who does not answer soon gets company.
///
/// Knows no socket: it says when to dial which address, and is told how that went.
struct HappyEyeballs {
    /// One attempt that may begin.
    struct Attempt: Equatable {
        /// Counted from 1.
        var number: UInt8
        var address: IPAddress
    }

    private struct Family {
        var isAnswered = false
        /// Those that have not been dialled.
        var addresses: [IPAddress] = []
    }

    private let settings: NameSettings
    private var v6 = Family()
    private var v4 = Family()
    /// Which family the next attempt takes, if it has both.
    private var prefersV6 = true
    /// Until then IPv4 addresses wait for the answer about IPv6 (section 3).
    private var resolutionDeadline: Instant?
    /// The next attempt begins no earlier; nil before the first.
    private var nextAttempt: Instant?
    private var begun: UInt8 = 0
    /// The numbers of the attempts under way.
    private(set) var underWay: [UInt8] = []
    /// The most telling failure so far.
    private var worst: DialFailure?

    init(_ settings: NameSettings) { self.settings = settings }

    /// The addresses of one family have come, or it is known that there are none.
    mutating func answer(_ family: NameFamily, _ addresses: [IPAddress], now: Instant) {
        switch family {
        case .v6:
            v6 = Family(isAnswered: true, addresses: addresses)
            resolutionDeadline = nil
        case .v4:
            v4 = Family(isAnswered: true, addresses: addresses)
            if !v6.isAnswered, !addresses.isEmpty, begun == 0 { resolutionDeadline = now + settings.resolutionDelay }
        }
    }

    /// The next attempt that may begin now; to be asked until there is none.
    /// - Parameter hasRoom: asked when one is due. Without room it is due again after `attemptDelay`, or when another has failed.
    mutating func next(now: Instant, hasRoom: () -> Bool = { true }) -> Attempt? {
        guard underWay.count < settings.maximumAttempts, begun < .max else { return nil }
        if let resolutionDeadline {
            guard resolutionDeadline <= now else { return nil }
            self.resolutionDeadline = nil
        }
        if let nextAttempt, now < nextAttempt { return nil }
        guard !v4.addresses.isEmpty || !v6.addresses.isEmpty else { return nil }
        let mayBegin = hasRoom()
        nextAttempt = now + settings.attemptDelay
        guard mayBegin, let address = takeAddress() else { return nil }
        begun += 1
        underWay.append(begun)
        return Attempt(number: begun, address: address)
    }

    /// Families take turns (section 4).
    private mutating func takeAddress() -> IPAddress? {
        // Before the first attempt, IPv4 alone is not taken while its wait for IPv6 lasts: `next` sees to that.
        let takesV6 = v4.addresses.isEmpty || (prefersV6 && !v6.addresses.isEmpty)
        prefersV6 = !takesV6
        if takesV6 { return v6.addresses.isEmpty ? nil : v6.addresses.removeFirst() }
        return v4.addresses.removeFirst()
    }

    /// An attempt came to nothing: the next one need not wait for its time.
    /// - Returns: false when no such attempt was under way.
    mutating func failed(_ number: UInt8, _ failure: DialFailure, now: Instant) -> Bool {
        guard let place = underWay.firstIndex(of: number) else { return false }
        underWay.remove(at: place)
        nextAttempt = now
        if let worst, worst.tells >= failure.tells { return true }
        worst = failure
        return true
    }

    /// How it all ended, if nothing is left to wait for: nil as long as there is. `none` where there was no address at all.
    var end: End? {
        guard v6.isAnswered, v4.isAnswered, underWay.isEmpty, v6.addresses.isEmpty, v4.addresses.isEmpty else {
            return nil
        }
        return worst.map(End.failed) ?? .withoutAddress
    }

    enum End: Equatable {
        case withoutAddress
        case failed(DialFailure)
    }

    /// When `next` is to be asked again, if nothing happens before.
    var deadline: Instant? {
        if let resolutionDeadline { return resolutionDeadline }
        guard underWay.count < settings.maximumAttempts, !(v6.addresses.isEmpty && v4.addresses.isEmpty) else {
            return nil
        }
        return nextAttempt
    }
}

extension DialFailure {
    /// Of several attempts, the failure that says most of the destination is the one that is told: a host that refuses
    /// is there; a network without a way to one of the families is no news.
    fileprivate var tells: Int {
        switch self {
        case .refused: 6
        case .timedOut: 5
        case .hostUnreachable: 4
        case .notAllowed: 3
        case .networkUnreachable: 2
        case .outOfResources: 1
        case .other: 0
        }
    }
}
