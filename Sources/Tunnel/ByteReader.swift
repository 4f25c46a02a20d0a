/// Reads a message from the front. What lies beyond the last field read is ignored: room for later versions.
struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    mutating func byte() throws(MessageError) -> UInt8 {
        guard let byte = rest.popFirst() else { throw .truncated }
        return byte
    }

    mutating func bytes(_ count: Int) throws(MessageError) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw .truncated }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// A number in network byte order.
    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type) throws(MessageError) -> T {
        try bytes(T.bitWidth / 8).reduce(T.zero) { $0 << 8 | T($1) }
    }

    /// One byte of length, then text without control characters, which would forge lines in a log.
    mutating func text() throws(MessageError) -> String {
        let bytes = try bytes(Int(byte()))
        guard let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: isControl)
        else { throw .badText }
        return text
    }

    mutating func version() throws(MessageError) {
        let version = try byte()
        guard version == TunnelProtocol.version else { throw .unknownVersion(version) }
    }
}

extension [UInt8] {
    /// Appends a number in network byte order.
    mutating func append<T: FixedWidthInteger & UnsignedInteger>(bigEndian value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends one byte of length and a text that `wireText` made.
    mutating func append(text: String) {
        append(UInt8(clamping: text.utf8.count))
        append(contentsOf: text.utf8.prefix(maximumText))
    }
}

private let maximumText = 255

/// The part of `text` that can stand in a message: no control characters, at most 255 bytes, no character cut in two.
func wireText(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars where !isControl(scalar) {
        count += UTF8.width(scalar)
        if count > maximumText { break }
        result.append(scalar)
    }
    return String(result)
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    default: false
    }
}
