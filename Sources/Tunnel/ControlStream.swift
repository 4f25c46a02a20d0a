import Primitives
import Sealing

/// The sealed layer of the control stream at one end: every chunk is one message.
public final class ControlStream {
    /// Sealed bytes of this end's messages that may wait for the peer before the connection is given up: a peer that
    /// sends pings and reads no pongs must not fill our memory.
    public static let maximumBacklog = 64 << 10

    private let sealer: ChunkSealer
    private let opener: MessageOpener

    public init(secret: SessionSecret, role: Role, cipher: Cipher, random: inout some RandomNumberGenerator) {
        sealer = ChunkSealer(
            secret: secret, direction: role.sending, stream: TunnelProtocol.controlStream, cipher: cipher,
            random: &random)
        opener = MessageOpener(
            secret: secret, direction: role.receiving, stream: TunnelProtocol.controlStream, cipher: cipher)
    }

    /// Seals one message. False when there is no memory.
    public func send(_ message: [UInt8], to output: some ByteOutput) -> Bool {
        guard let room = output.space(minimum: sealer.sealedSize(message.count)) else { return false }
        output.commit(message.withUnsafeBytes { sealer.seal($0, into: room) })
        return true
    }

    public func receive(_ bytes: UnsafeRawBufferPointer) throws(OpenError) { try opener.open(bytes) }

    /// The oldest message not yet taken.
    public func nextMessage() -> [UInt8]? { opener.nextMessage() }
}
