/// A calendar month of UTC, over which usage is added up.
public struct Month: Hashable, Comparable, Sendable {
    public let year: Int
    /// 1 to 12.
    public let number: Int

    /// - Parameter unixSeconds: seconds since 1970-01-01 UTC.
    public init(unixSeconds: Int64) {
        // Days since 0000-03-01, so that a leap day is the last of its year (the proleptic Gregorian calendar).
        let day = max(min(unixSeconds, Self.latest), 0) / 86_400 + 719_468
        let era = day / 146_097
        let dayOfEra = day % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        number = Int(shifted < 10 ? shifted + 3 : shifted - 9)
        year = Int(yearOfEra + era * 400) + (number <= 2 ? 1 : 0)
    }

    /// The end of the year 9999: what comes later counts to it.
    private static let latest: Int64 = 253_402_300_799

    /// `202601`, as it is stored.
    public var code: Int { year * 100 + number }

    public init?(code: Int) {
        guard (1...12).contains(code % 100), (1970...9999).contains(code / 100) else { return nil }
        year = code / 100
        number = code % 100
    }

    public static func < (a: Month, b: Month) -> Bool { a.code < b.code }
}

extension Month: CustomStringConvertible {
    /// `2026-01`
    public var description: String { "\(year)-\(number < 10 ? "0" : "")\(number)" }
}
