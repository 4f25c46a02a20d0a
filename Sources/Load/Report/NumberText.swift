/// Numbers as people read them. Without a locale: a result reads the same everywhere.
public enum NumberText {
    /// With so many digits after the point.
    public static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "–" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (value.magnitude * scale).rounded()
        guard let whole = UInt64(exactly: scaled) else { return "\(value)" }
        let sign = value < 0 && whole > 0 ? "-" : ""
        if digits == 0 { return "\(sign)\(whole)" }
        let text = String(whole)
        let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
        return "\(sign)\(padded.dropLast(digits)).\(padded.suffix(digits))"
    }

    /// Three significant digits at least, without an exponent: 1234, 123, 12.3, 1.23, 0.123.
    public static func short(_ value: Double) -> String {
        switch value.magnitude {
        case 0: "0"
        case ..<0.001: fixed(value, 6)
        case ..<1: fixed(value, 3)
        case ..<10: fixed(value, 2)
        case ..<100: fixed(value, 1)
        default: fixed(value, 0)
        }
    }

    /// A text of these functions without zeros at the end of its fraction: `2.00 ms` is `2 ms`.
    static func trimmed(_ text: String) -> String {
        let number = text.prefix { $0 != " " }
        guard number.contains(".") else { return text }
        var short = number
        while short.last == "0" { short.removeLast() }
        if short.last == "." { short.removeLast() }
        return String(short) + text.dropFirst(number.count)
    }

    public static func bitRate(_ bitsPerSecond: Double) -> String {
        scaled(bitsPerSecond, by: 1_000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
    }

    /// Binary multiples, as memory is counted.
    public static func memory(_ bytes: UInt64) -> String {
        scaled(Double(bytes), by: 1_024, ["B", "KiB", "MiB", "GiB", "TiB"])
    }

    /// Decimal multiples, as traffic is counted.
    public static func traffic(_ bytes: UInt64) -> String {
        scaled(Double(bytes), by: 1_000, ["B", "kB", "MB", "GB", "TB", "PB"])
    }

    public static func duration(microseconds: Double) -> String {
        switch microseconds {
        case ..<1_000: "\(short(microseconds)) µs"
        case ..<1_000_000: "\(short(microseconds / 1_000)) ms"
        default: "\(short(microseconds / 1_000_000)) s"
        }
    }

    private static func scaled(_ value: Double, by step: Double, _ units: [String]) -> String {
        var value = value
        var index = 0
        while value >= step, index < units.count - 1 {
            value /= step
            index += 1
        }
        return "\(short(value)) \(units[index])"
    }
}
