import Primitives
import Sealing

/// Which end of the tunnel somebody is.
public enum Role: Sendable {
    case client, server

    /// The direction in which this end sends.
    var sending: Direction {
        switch self {
        case .client: .up
        case .server: .down
        }
    }

    var receiving: Direction {
        switch self {
        case .client: .down
        case .server: .up
        }
    }
}

/// The sealed layer of one flow's stream, at one end: the opening message of either side, then the flow's bytes.
///
/// It also keeps the books of the promise behind every window: the peer's credit grows only by what has really been
/// passed on, and the application's window only by what has really left.
public final class FlowStream {
    /// Chunks smaller than this are not begun at the end of a block just because they fit there.
    private static let smallestSplit = 1_024

    private let sealer: ChunkSealer
    private let opener: ChunkOpener

    /// Sealed bytes received so far, and how many of them the peer got back as credit.
    @exclusivity(unchecked) private var received = 0
    @exclusivity(unchecked) private var credited = 0
    /// Clear bytes handed to `seal` that have not left in a packet.
    @exclusivity(unchecked) private var unsent = 0

    public init(keys: SessionKeys, stream: Int64, role: Role) {
        sealer = ChunkSealer(keys: keys, direction: role.sending, stream: stream)
        opener = ChunkOpener(keys: keys, direction: role.receiving, stream: stream)
    }

    /// Clear bytes sealed and opened so far, the opening messages included.
    public var bytesSealed: UInt64 { sealer.bytes }
    public var bytesOpened: UInt64 { opener.bytes }

    // MARK: Sending

    /// Seals the opening message. False when there is no memory.
    public func send(message: [UInt8], to output: some ByteOutput) -> Bool {
        guard let room = output.space(minimum: sealer.sealedSize(message.count)) else { return false }
        output.commit(message.withUnsafeBytes { sealer.seal($0, into: room) })
        return true
    }

    /// Seals flow bytes into as many chunks as it takes.
    /// - Returns: how many bytes were sealed; fewer than given when there is no memory.
    public func seal(_ bytes: UnsafeRawBufferPointer, to output: some ByteOutput) -> Int {
        var rest = bytes
        while !rest.isEmpty {
            let minimum = sealer.sealedSize(min(rest.count, Self.smallestSplit))
            guard let room = output.space(minimum: minimum) else { break }
            let count = min(rest.count, sealer.payloadFitting(room.count))
            output.commit(sealer.seal(UnsafeRawBufferPointer(rebasing: rest[..<count]), into: room))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        let taken = bytes.count - rest.count
        unsent += taken
        return taken
    }

    /// Sealed bytes have left in packets.
    ///
    /// Chunks are a little larger than what they carry, so the clear bytes are released a little early within a burst;
    /// at its end the account is exact.
    /// - Parameter remaining: sealed bytes that still wait.
    /// - Returns: clear bytes that count as passed on.
    public func left(_ count: Int, remaining: Int) -> Int {
        let released = remaining == 0 ? unsent : min(count, unsent)
        unsent -= released
        return released
    }

    // MARK: Receiving

    /// Opens received bytes straight into the queue.
    /// - Returns: the peer's opening message, when it has become whole with this call.
    public func open(
        _ bytes: UnsafeRawBufferPointer, into queue: inout BlockQueue
    ) throws(OpenError) -> [UInt8]? {
        received += bytes.count
        try opener.open(bytes, into: &queue)
        return opener.takeFirstChunk()
    }

    /// True where the peer may end the stream: nothing of a chunk is missing.
    public var isBetweenChunks: Bool { opener.isBetweenChunks }

    /// - Parameter held: bytes that wait in the queue, staged ones included.
    /// - Returns: how much further the peer may send.
    public func newCredit(held: Int) -> Int {
        let earned = received - held
        guard earned > credited else { return 0 }
        defer { credited = earned }
        return earned - credited
    }
}
