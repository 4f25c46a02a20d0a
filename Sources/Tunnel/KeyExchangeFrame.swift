/// How the two messages of the first key exchange lie on the control stream (docs/PROTOCOL.md, section 5): the client's
/// has the suite before it, and both have their length.
struct KeyExchangeFrame {
    /// The most bytes of a message. Noise IK needs 96 and 48; the rest is room for later versions.
    static let maximumMessage = 512
    private static let lengthSize = 2

    private let headerSize: Int
    private var collected: [UInt8] = []

    init(hasSuite: Bool) { headerSize = Self.lengthSize + (hasSuite ? 1 : 0) }

    /// The suite named, when there is one and it has come.
    var suite: UInt8 { headerSize > Self.lengthSize ? collected.first ?? 0 : 0 }

    /// Takes bytes off the front of `input` until the message is whole.
    mutating func take(_ input: inout UnsafeRawBufferPointer) throws(ControlError) -> [UInt8]? {
        collect(headerSize, &input)
        guard collected.count >= headerSize else { return nil }
        let length = Int(collected[headerSize - 2]) << 8 | Int(collected[headerSize - 1])
        guard (1...Self.maximumMessage).contains(length) else { throw .badLength(length) }
        collect(headerSize + length, &input)
        guard collected.count == headerSize + length else { return nil }
        return Array(collected[headerSize...])
    }

    private mutating func collect(_ size: Int, _ input: inout UnsafeRawBufferPointer) {
        let count = min(size - collected.count, input.count)
        guard count > 0 else { return }
        collected += input[..<count]
        input = UnsafeRawBufferPointer(rebasing: input[count...])
    }

    /// - Parameter suite: before the client's message alone.
    static func encode(_ message: [UInt8], suite: UInt8?) -> [UInt8] {
        precondition(message.count <= maximumMessage, "a key exchange message has at most 512 bytes")
        var bytes = suite.map { [$0] } ?? []
        bytes.append(bigEndian: UInt16(message.count))
        return bytes + message
    }
}
