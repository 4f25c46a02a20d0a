import Foundation
import Primitives

// The texts of settings: durations, sizes, host names, base64.

private let durationUnits: [(name: String, nanoseconds: Int64)] = [
    ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
]

private let sizeUnits: [(name: String, bytes: Int)] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]

/// `30s`, `500ms`, `2m`, `1h`: a whole number and its unit, without a space.
package func parseDuration(_ text: String) -> Interval? {
    guard let (number, unit) = splitUnit(text), let scale = durationUnits.first(where: { $0.name == unit }) else {
        return nil
    }
    let (product, overflow) = Int64(number).multipliedReportingOverflow(by: scale.nanoseconds)
    return overflow ? nil : Interval(nanoseconds: product)
}

/// The shortest text that `parseDuration` reads back as the same value, down to milliseconds.
package func durationText(_ interval: Interval) -> String {
    let unit = durationUnits.last { interval.nanoseconds % $0.nanoseconds == 0 && interval.nanoseconds > 0 }
    guard let unit else { return "\(interval.nanoseconds / 1_000_000)ms" }
    return "\(interval.nanoseconds / unit.nanoseconds)\(unit.name)"
}

/// Bytes of `512MiB`: a whole number and B, KiB, MiB or GiB, without a space.
package func parseSize(_ text: String) -> Int? {
    guard let (number, unit) = splitUnit(text), let scale = sizeUnits.first(where: { $0.name == unit }) else {
        return nil
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: scale.bytes)
    return overflow ? nil : product
}

/// The shortest text that `parseSize` reads back as the same value.
package func sizeText(_ bytes: Int) -> String {
    guard bytes > 0, let unit = sizeUnits.last(where: { bytes % $0.bytes == 0 }) else { return "\(bytes)B" }
    return "\(bytes / unit.bytes)\(unit.name)"
}

private func splitUnit(_ text: String) -> (number: Int, unit: Substring)? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(decimal: digits) else { return nil }
    return (number, text[digits.endIndex...])
}

/// A host name by RFC 1123, section 2.1: labels of letters, digits and inner hyphens, 63 bytes each, 253 in all.
/// The last label is not all digits, since that would be a mistyped address. A final dot is dropped.
package func parseHostName(_ text: String) -> String? {
    let name = text.hasSuffix(".") ? String(text.dropLast()) : text
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    let valid = labels.allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
            && label.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45
            }
    }
    guard valid, name.utf8.count <= 253, let last = labels.last, !last.utf8.allSatisfy({ (48...57).contains($0) })
    else { return nil }
    return name
}

/// Standard base64 (RFC 4648, section 4) with its padding; nil for anything else.
package func decodeBase64(_ text: String) -> [UInt8]? {
    Data(base64Encoded: text).map(Array.init)
}
