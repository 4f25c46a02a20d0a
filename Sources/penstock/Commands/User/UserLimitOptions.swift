import ArgumentParser
import Configuration
import Foundation
import Users

/// A limit as it was given: a number, or none.
enum LimitOption: Equatable {
    case none
    case value(Int)

    var value: Int? {
        switch self {
        case .none: nil
        case .value(let value): value
        }
    }
}

/// The limits and the expiry of a user, in `penstock user add` and `set`. What is not given stays as it is.
struct UserLimitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Sessions (connections) at once; this and all limits below: or 'none'.", valueName: "count"),
        transform: count)
    var sessions: LimitOption?

    @Option(help: ArgumentHelp("Flows at once, TCP and UDP together.", valueName: "count"), transform: count)
    var flows: LimitOption?

    @Option(help: ArgumentHelp("Dials under way at once.", valueName: "count"), transform: count)
    var halfOpen: LimitOption?

    @Option(help: ArgumentHelp("UDP associations (ports) at once.", valueName: "count"), transform: count)
    var udpAssociations: LimitOption?

    @Option(
        help: ArgumentHelp("Bytes of the server's memory, such as 64MiB.", valueName: "size"), transform: size)
    var bufferedBytes: LimitOption?

    @Option(
        help: ArgumentHelp("Bits per second from the user, such as 20Mbit (bit, kbit, Mbit, Gbit).", valueName: "rate"),
        transform: rate)
    var rateUp: LimitOption?

    @Option(help: ArgumentHelp("Bits per second to the user.", valueName: "rate"), transform: rate)
    var rateDown: LimitOption?

    @Option(
        help: ArgumentHelp("Bytes in a month (UTC), both ways together, such as 500GB or 2TiB.", valueName: "volume"),
        transform: volume)
    var quota: LimitOption?

    @Option(
        help: ArgumentHelp(
            "A destination that is allowed, and then no others: 203.0.113.0/24, '[2001:db8::/32]:443', example.org, "
                + ".example.org (it and all below it), '*.example.org:8000-8999', '*:443'. May be given many times; 'any' alone takes the list away.",
            valueName: "rule"))
    var allow: [String] = []

    @Option(
        help: ArgumentHelp(
            "When the user's time is over: 2026-12-31 (its first moment, UTC), 2026-12-31T12:00:00Z, 30d, 12h or 'never'.",
            valueName: "when"))
    var expires: String?

    private static func limit(
        _ text: String, _ expected: String, _ parse: (String) -> Int?, in range: ClosedRange<Int>
    ) throws -> LimitOption {
        if text == "none" { return .none }
        guard let value = parse(text), range.contains(value) else {
            throw ValidationError("expected \(expected), or none")
        }
        return .value(value)
    }

    private static func count(_ text: String) throws -> LimitOption {
        try limit(text, "a whole number from 1 to 1000000", { Int(decimal: $0) }, in: UserLimits.counts)
    }

    private static func size(_ text: String) throws -> LimitOption {
        try limit(text, "a size from 1MiB to 1024GiB, such as 64MiB", parseSize, in: UserLimits.bytes)
    }

    private static func rate(_ text: String) throws -> LimitOption {
        try limit(text, "a rate from 8kbit to 1000Gbit, such as 20Mbit", parseRate, in: RateGate.rates)
    }

    private static func volume(_ text: String) throws -> LimitOption {
        try limit(text, "a volume such as 500GB or 2TiB", parseVolume, in: UserLimits.quotas)
    }

    func validate() throws {
        _ = try destinations()
        _ = try expiry(now: 0)
    }

    /// Nil where none was given; empty for all destinations.
    private func destinations() throws -> [DestinationRule]? {
        if allow.isEmpty { return nil }
        if allow == ["any"] { return [] }
        if allow.contains("any") { throw ValidationError("--allow any stands alone.") }
        guard allow.count <= UserLimits.maximumDestinations else {
            throw ValidationError("--allow: \(UserLimits.maximumDestinations) rules at most.")
        }
        return try allow.map { text in
            do {
                return try DestinationRule(text)
            } catch {
                throw ValidationError("--allow '\(printable(text))': \(error).")
            }
        }
    }

    private func expiry(now: Int64) throws -> LimitOption? {
        guard let expires else { return nil }
        if expires == "never" { return LimitOption.none }
        guard let moment = parseMoment(expires, now: now) else {
            throw ValidationError(
                "--expires '\(printable(expires))': write 2026-12-31, 2026-12-31T12:00:00Z, 30d, 12h or never.")
        }
        return .value(Int(moment))
    }

    /// Whether anything was given.
    var isEmpty: Bool {
        [sessions, flows, halfOpen, udpAssociations, bufferedBytes, rateUp, rateDown, quota].allSatisfy { $0 == nil }
            && allow.isEmpty && expires == nil
    }

    /// Puts what was given in the place of what was there.
    func apply(to user: inout User, now: Int64) {
        func set(_ option: LimitOption?, _ place: inout Int?) { if let option { place = option.value } }
        set(sessions, &user.limits.sessions)
        set(flows, &user.limits.flows)
        set(halfOpen, &user.limits.halfOpen)
        set(udpAssociations, &user.limits.associations)
        set(bufferedBytes, &user.limits.bufferedBytes)
        set(rateUp, &user.limits.rateUp)
        set(rateDown, &user.limits.rateDown)
        set(quota, &user.limits.monthlyQuota)
        // `validate` has seen both.
        if let rules = try? destinations() { user.limits.destinations = rules }
        if let expiry = try? expiry(now: now) { user.expires = expiry.value.map(Int64.init) }
    }
}

/// The 32 bytes of a public key, from base64.
func parsePublicKey(_ text: String) throws -> [UInt8] {
    guard let key = decodeBase64(text), key.count == User.keySize else {
        throw ValidationError("expected 44 characters of base64, as the client's 'penstock pubkey' prints them")
    }
    return key
}
