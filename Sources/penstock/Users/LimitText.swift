import Configuration
import Foundation
import Users

// The texts of limits: what `penstock user` reads and prints.

private let rateUnits: [(name: String, bits: Int)] = [
    ("bit", 1), ("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000),
]

private let volumeUnits: [(name: String, bytes: Int)] = [
    ("B", 1), ("kB", 1_000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20), ("GB", 1_000_000_000),
    ("GiB", 1 << 30), ("TB", 1_000_000_000_000), ("TiB", 1 << 40),
]

/// Bits per second of `20Mbit`: a whole number and bit, kbit, Mbit or Gbit (of 1000), without a space.
func parseRate(_ text: String) -> Int? { parse(text, rateUnits.map { ($0.name, $0.bits) }) }

/// The shortest text that `parseRate` reads back as the same value.
func rateText(_ bits: Int) -> String { shortest(bits, rateUnits.map { ($0.name, $0.bits) }) }

/// Bytes of `500GB` or `2TiB`.
func parseVolume(_ text: String) -> Int? { parse(text, volumeUnits.map { ($0.name, $0.bytes) }) }

/// The shortest text that `parseVolume` reads back as the same value.
func volumeText(_ bytes: Int) -> String { shortest(bytes, volumeUnits.map { ($0.name, $0.bytes) }) }

/// A number of bytes for people, such as `1.5 GB`.
func roughVolumeText(_ bytes: Int) -> String {
    guard let unit = volumeUnits.last(where: { !$0.name.contains("i") && bytes >= $0.bytes && $0.bytes > 1 }) else {
        return "\(bytes) B"
    }
    return
        "\((Double(bytes) / Double(unit.bytes)).formatted(.number.precision(.fractionLength(1)).grouping(.never).locale(plain))) \(unit.name)"
}

private let plain = Locale(identifier: "en_US_POSIX")

private func parse(_ text: String, _ units: [(String, Int)]) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(decimal: digits), let unit = units.first(where: { $0.0 == text[digits.endIndex...] }) else {
        return nil
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit.1)
    return overflow ? nil : product
}

private func shortest(_ value: Int, _ units: [(String, Int)]) -> String {
    let texts = units.filter { value % $0.1 == 0 }.map { "\(value / $0.1)\($0.0)" }
    return texts.min { ($0.count, $0) < ($1.count, $1) } ?? "\(value)"
}

/// When a user expires: `2026-12-31` (its first moment, UTC), `2026-12-31T12:00:00Z`, or a time from now such as `30d` or `12h`.
func parseMoment(_ text: String, now: Int64) -> Int64? {
    if let last = text.last, let number = Int(decimal: text.dropLast()), number <= 1_000_000 {
        switch last {
        case "d": return now + Int64(number) * 86_400
        case "h": return now + Int64(number) * 3_600
        default: break
        }
    }
    let style = Date.ISO8601FormatStyle()
    // A style reads the beginning of a text and leaves the rest alone.
    let date =
        switch text.utf8.count {
        case 10: try? style.year().month().day().parse(text)
        case 20: try? style.parse(text)
        default: nil as Date?
        }
    guard let date, (0...253_402_300_799).contains(date.timeIntervalSince1970) else { return nil }
    return Int64(date.timeIntervalSince1970)
}

/// `2026-12-31T12:00:00Z`
func momentText(_ unixSeconds: Int64) -> String {
    Date(timeIntervalSince1970: Double(min(max(unixSeconds, 0), 253_402_300_799))).formatted(.iso8601)
}

/// Seconds since 1970, UTC, by the system's clock.
func unixSeconds() -> Int64 { Int64(Date().timeIntervalSince1970) }
