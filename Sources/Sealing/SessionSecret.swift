/// Which way a stream's bytes go: both ways of a stream are sealed under different keys.
public enum Direction: String, Sendable, CaseIterable {
    /// Client to server.
    case up
    /// Server to client.
    case down
}

/// The secret of one epoch of a connection, from which the keys of its streams and datagrams are derived
/// (docs/PROTOCOL.md, section 2).
public struct SessionSecret: Sendable {
    static let size = 32

    let bytes: SecretBytes
    /// What the key exchange has said: the next one is bound to it.
    let handshakeHash: [UInt8]

    /// What a completed handshake brings about: the keys of its two directions and all that was said make one secret.
    init(_ handshake: HandshakeState) {
        let (first, second) = handshake.split()
        let hash = handshake.handshakeHash
        let both = SecretBytes(count: first.key.count + second.key.count) { output in
            first.key.withBytes { output.copyMemory(from: $0) }
            second.key.withBytes { UnsafeMutableRawBufferPointer(rebasing: output[$0.count...]).copyMemory(from: $0) }
        }
        let bytes = hash.withUnsafeBytes { salt in
            both.withBytes { key in
                KeyDerivation.derive(
                    salt: salt, inputKey: key, info: Array("penstock session v2".utf8), count: Self.size)
            }
        }
        self.init(bytes: bytes, handshakeHash: hash)
    }

    init(bytes: SecretBytes, handshakeHash: [UInt8]) {
        self.bytes = bytes
        self.handshakeHash = handshakeHash
    }

    /// The 32-byte key of one section of one direction of one stream.
    /// - Parameters:
    ///   - salt: the 32 bytes at the start of the section.
    ///   - stream: the QUIC stream ID.
    ///   - section: how many sections of the direction came before.
    func subkey(salt: UnsafeRawBufferPointer, direction: Direction, stream: Int64, section: UInt32) -> SecretBytes {
        var info = Array("penstock stream v2 \(direction.rawValue)".utf8)
        withUnsafeBytes(of: stream.bigEndian) { info.append(contentsOf: $0) }
        withUnsafeBytes(of: section.bigEndian) { info.append(contentsOf: $0) }
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
        var info = Array("penstock datagram v2 \(direction.rawValue)".utf8)
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
