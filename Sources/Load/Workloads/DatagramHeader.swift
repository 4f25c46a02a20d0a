import Primitives

/// What every datagram of the load begins with: four numbers of eight bytes in network byte order.
struct DatagramHeader: Equatable {
    enum Kind: UInt64 {
        /// Load: the pattern follows.
        case data = 0
        /// Asks a sink what it has counted.
        case query = 1
        /// The sink's answer: `sequence` is the count, `time` the wrong bytes in them.
        case report = 2
    }

    static let byteCount = 32

    var kind: Kind
    /// Of the flow.
    var identifier: UInt64
    var sequence: UInt64
    /// When the datagram was due, on the sender's clock.
    var time: UInt64

    var wrong: UInt64 { time }

    init(_ kind: Kind, identifier: UInt64, sequence: UInt64 = 0, time: UInt64 = 0) {
        self.kind = kind
        self.identifier = identifier
        self.sequence = sequence
        self.time = time
    }

    /// Nil when these are no bytes of the load.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount, let base = bytes.baseAddress,
            let kind = Kind(rawValue: base.loadBigEndian(at: 0, as: UInt64.self))
        else { return nil }
        self.kind = kind
        identifier = base.loadBigEndian(at: 8, as: UInt64.self)
        sequence = base.loadBigEndian(at: 16, as: UInt64.self)
        time = base.loadBigEndian(at: 24, as: UInt64.self)
    }

    /// Writes `byteCount` bytes.
    func store(to memory: UnsafeMutableRawPointer) {
        memory.storeBigEndian(kind.rawValue, at: 0)
        memory.storeBigEndian(identifier, at: 8)
        memory.storeBigEndian(sequence, at: 16)
        memory.storeBigEndian(time, at: 24)
    }

    /// Bytes of the payload that are not what this header says should follow.
    static func mismatches(in datagram: UnsafeRawBufferPointer, _ header: DatagramHeader, _ pattern: Pattern) -> Int {
        pattern.mismatches(
            in: UnsafeRawBufferPointer(rebasing: datagram[byteCount...]), at: header.place)
    }

    /// Where in the pattern the payload begins.
    var place: UInt64 { identifier ^ sequence }
}
