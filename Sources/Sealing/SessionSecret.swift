/// Which way a stream's bytes go: both ways of a stream are sealed under different keys.
public enum Direction: String, Sendable, CaseIterable {
    /// Client to server.
    case up
    /// Server to client.
    case down
}

/// The secret of one connection, from which the key of every stream direction is derived (docs/PROTOCOL.md).
///
/// This is the seam for a key exchange: whatever makes these 32 bytes, everything below stays as it is.
public struct SessionSecret: Sendable {
    /// The label and length of the TLS exporter value (RFC 8446, section 7.5) that binds the secret to the connection.
    public static let exporterLabel = "EXPORTER-penstock-session"
    public static let exporterSize = 32
    static let size = 32

    let bytes: SecretBytes

    /// The secret under a pre-shared key.
    ///
    /// A man in the middle has two TLS sessions with two exporter values, so what he relays opens under neither.
    /// - Parameter exporter: 32 bytes of the TLS exporter with `exporterLabel` and an empty context.
    public init(psk: PreSharedKey, exporter: [UInt8]) {
        precondition(exporter.count == Self.exporterSize, "the TLS exporter value has 32 bytes")
        bytes = exporter.withUnsafeBytes { salt in
            psk.bytes.withBytes { key in
                KeyDerivation.derive(
                    salt: salt, inputKey: key, info: Array("penstock session v1".utf8), count: Self.size)
            }
        }
    }

    /// The 32-byte key of one direction of one stream.
    /// - Parameters:
    ///   - salt: the 32 bytes at the start of the direction.
    ///   - stream: the QUIC stream ID.
    func subkey(salt: UnsafeRawBufferPointer, direction: Direction, stream: Int64) -> SecretBytes {
        var info = Array("penstock stream v1 \(direction.rawValue)".utf8)
        withUnsafeBytes(of: stream.bigEndian) { info.append(contentsOf: $0) }
        return bytes.withBytes { key in
            KeyDerivation.derive(salt: salt, inputKey: key, info: info, count: Cipher.keySize)
        }
    }

    /// The 32-byte key of one direction of one association's datagrams.
    ///
    /// It has no salt: the secret belongs to one TLS session, and in that a stream ID comes once.
    /// - Parameters:
    ///   - stream: the ID of the association's stream.
    ///   - number: which of the direction's keys: the counter's bits above `DatagramFormat.keyLifetimeBits`.
    func datagramKey(direction: Direction, stream: Int64, number: UInt64) -> SecretBytes {
        var info = Array("penstock datagram v1 \(direction.rawValue)".utf8)
        withUnsafeBytes(of: stream.bigEndian) { info.append(contentsOf: $0) }
        withUnsafeBytes(of: number.bigEndian) { info.append(contentsOf: $0) }
        return bytes.withBytes { key in
            KeyDerivation.derive(
                salt: UnsafeRawBufferPointer(start: nil, count: 0), inputKey: key, info: info, count: Cipher.keySize)
        }
    }
}

extension SessionSecret: CustomStringConvertible, CustomReflectable {
    public var description: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
