import Primitives
import Sealing

/// The sealed layer of one association at one end: messages in datagrams, and as records on its stream.
///
/// Not for use by two threads at once. Nothing here allocates, but for the sealer's and the opener's new keys.
public final class DatagramChannel {
    /// The destination of the request, which messages name in one byte.
    public let requested: Endpoint
    private let sealer: DatagramSealer
    private let opener: DatagramOpener

    /// - Parameter stream: the association's stream.
    public init(keys: SessionKeys, stream: Int64, role: Role, requested: Endpoint) {
        self.requested = requested
        sealer = DatagramSealer(keys: keys, direction: role.sending, stream: stream)
        opener = DatagramOpener(keys: keys, direction: role.receiving, stream: stream)
    }

    // MARK: In datagrams

    /// Bytes of the next sealed datagram, if it carries `count` bytes of payload.
    public func sealedSize(_ count: Int, _ endpoint: Endpoint) -> Int {
        sealer.sealedSize(count + DatagramMessage.Trailer.size(endpoint, requested: requested))
    }

    /// Seals the payload of a datagram to or from `endpoint`.
    /// - Parameter output: has room for `sealedSize(payload.count, endpoint)` bytes.
    /// - Returns: bytes written; nil when the association has sealed all that it may.
    public func seal(
        _ payload: UnsafeRawBufferPointer, _ endpoint: Endpoint, into output: UnsafeMutableRawBufferPointer
    ) -> Int? {
        seal(payload, endpoint, isFailure: false, into: output)
    }

    /// Bytes of the next sealed datagram, if it carries a failure.
    public func sealedFailureSize(_ endpoint: Endpoint) -> Int { sealedSize(1, endpoint) }

    /// Seals the news that a datagram to `endpoint` came to nothing.
    public func seal(
        failure code: FlowReplyCode, _ endpoint: Endpoint, into output: UnsafeMutableRawBufferPointer
    ) -> Int? {
        withUnsafeBytes(of: code.rawValue) { seal($0, endpoint, isFailure: true, into: output) }
    }

    @inline(__always)
    private func seal(
        _ body: UnsafeRawBufferPointer, _ endpoint: Endpoint, isFailure: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int? {
        withUnsafeTemporaryAllocation(byteCount: DatagramMessage.Trailer.maximumSize, alignment: 8) { trailer in
            let count = DatagramMessage.Trailer.write(
                endpoint, requested: requested, isFailure: isFailure, to: trailer.baseAddress!)
            return sealer.seal(body, UnsafeRawBufferPointer(rebasing: trailer[..<count]), into: output)
        }
    }

    /// Opens a sealed datagram.
    /// - Parameter output: has room for `datagram.count` bytes.
    /// - Returns: what it says, and the bytes of its payload at the start of `output`; nil for a message of a later
    ///   version, which is ignored.
    public func open(
        _ datagram: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DatagramRefusal) -> (message: DatagramMessage, count: Int)? {
        let count = try opener.open(datagram, into: output)
        return read(UnsafeRawBufferPointer(rebasing: output[..<count]))
    }

    @inline(__always)
    private func read(_ message: UnsafeRawBufferPointer) -> (message: DatagramMessage, count: Int)? {
        guard let trailer = DatagramMessage.Trailer.read(message, requested: requested) else { return nil }
        guard trailer.isFailure else {
            guard trailer.bodyCount <= DatagramMessage.maximumPayload else { return nil }
            return (.payload(trailer.endpoint), trailer.bodyCount)
        }
        guard trailer.bodyCount >= 1 else { return nil }
        return (.failure(trailer.endpoint, FlowReplyCode(rawValue: message[0]) ?? .generalFailure), 0)
    }

    // MARK: On the stream

    /// Bytes of the number before each record.
    static let lengthSize = 4
    /// The most bytes of a record.
    public static let maximumRecord = lengthSize + DatagramMessage.maximumSize

    /// Writes a datagram as a record: its length, its payload, its trailer.
    /// - Parameter memory: has room for `maximumRecord` bytes.
    /// - Returns: bytes written.
    public func writeRecord(
        _ payload: UnsafeRawBufferPointer, _ endpoint: Endpoint, to memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(payload.count <= DatagramMessage.maximumPayload, "a datagram has at most 65 527 bytes")
        precondition(memory.count >= Self.maximumRecord, "no room for the record")
        let start = memory.baseAddress!
        if let bytes = payload.baseAddress {
            (start + Self.lengthSize).copyMemory(from: bytes, byteCount: payload.count)
        }
        let size =
            payload.count
            + DatagramMessage.Trailer.write(
                endpoint, requested: requested, isFailure: false, to: start + Self.lengthSize + payload.count)
        start.storeBigEndian(UInt32(size), at: 0)
        return Self.lengthSize + size
    }

    /// A record that was taken off the stream.
    public enum Record: Equatable {
        /// The rest of it has not come yet.
        case incomplete
        /// Of a later version: ignored.
        case unknown
        /// What it says, and the bytes of its payload at the start of the memory given.
        case message(DatagramMessage, count: Int)
    }

    /// Takes the next record off the opened bytes of the stream.
    /// - Parameter memory: has room for `DatagramMessage.maximumSize` bytes; nil forgets the record.
    public func nextRecord(
        from queue: inout BlockQueue, into memory: UnsafeMutableRawBufferPointer?
    ) throws(MessageError) -> Record {
        var length: UInt32 = 0
        let got = withUnsafeMutableBytes(of: &length) { queue.copy(from: 0, into: $0) }
        guard got == Self.lengthSize else { return .incomplete }
        let size = Int(UInt32(bigEndian: length))
        guard size >= 1, size <= DatagramMessage.maximumSize else { throw .badLength(size) }
        guard queue.count >= Self.lengthSize + size else { return .incomplete }
        defer { queue.consume(Self.lengthSize + size) }
        guard let memory else { return .unknown }
        let place = UnsafeMutableRawBufferPointer(rebasing: memory[..<size])
        _ = queue.copy(from: Self.lengthSize, into: place)
        guard let (message, count) = read(UnsafeRawBufferPointer(place)) else { return .unknown }
        return .message(message, count: count)
    }
}
