import Primitives

/// Datagrams that leave together: of one association, to one destination, of one size but for the last, end to end.
public struct OutboundDatagrams {
    public let id: OutboundID
    public let destination: Endpoint
    /// All of them; good until the next call of the engine.
    public let bytes: UnsafeRawBufferPointer
    /// Bytes of each; the last may be shorter. 0 for one datagram without payload.
    public let segmentSize: Int
    public let count: Int
}

/// Datagrams on their way from clients to sockets. They are opened right into its memory, one behind the other, and
/// those that can leave together are joined as they come.
struct DatagramOutbox: ~Copyable {
    private struct Run {
        let id: OutboundID
        let destination: Endpoint
        let offset: Int
        let segmentSize: Int
        var bytes: Int
        var count: Int
        /// The last one is shorter than the others: nothing can follow.
        var isClosed: Bool
    }

    /// Bytes that may wait: all that one reading of the socket brings, which ends when some 300 packets have come, and a few
    /// records of the largest size.
    static let capacity = 1 << 20
    /// Runs that may wait: as many datagrams as lie in 300 packets, if all have different destinations.
    static let maximumRuns = 8_192
    /// Datagrams and bytes of one run: what UDP_SEGMENT takes (linux/udp.h, UDP_MAX_SEGMENTS of older kernels).
    static let maximumRunCount = 64
    static let maximumRunBytes = 65_000

    /// Made with the first datagram: a server without UDP needs none.
    private var memory: UnsafeMutableRawPointer?
    private var used = 0
    private var runs: [Run] = []
    /// Runs that were taken.
    private var taken = 0

    init() {}

    deinit { memory?.deallocate() }

    var isEmpty: Bool { taken == runs.count }

    /// Room for a message of at most `maximum` bytes; nil when as much as may waits.
    mutating func space(_ maximum: Int) -> UnsafeMutableRawBufferPointer? {
        if taken == runs.count, taken > 0 {
            runs.removeAll(keepingCapacity: true)
            taken = 0
            used = 0
        }
        guard used + maximum <= Self.capacity, runs.count < Self.maximumRuns else { return nil }
        if memory == nil { memory = .allocate(byteCount: Self.capacity, alignment: 16) }
        return UnsafeMutableRawBufferPointer(start: memory! + used, count: maximum)
    }

    /// The first `count` bytes of the last space are a datagram.
    mutating func commit(_ count: Int, _ id: OutboundID, to destination: Endpoint) {
        defer { used += count }
        if let last = runs.indices.last, last >= taken, runs[last].id == id, runs[last].destination == destination,
            !runs[last].isClosed, count > 0, count <= runs[last].segmentSize, runs[last].count < Self.maximumRunCount,
            runs[last].bytes + count <= Self.maximumRunBytes
        {
            runs[last].bytes += count
            runs[last].count += 1
            runs[last].isClosed = count < runs[last].segmentSize
            return
        }
        runs.append(
            Run(
                id: id, destination: destination, offset: used, segmentSize: count, bytes: count, count: 1,
                isClosed: count == 0))
    }

    mutating func next() -> OutboundDatagrams? {
        guard taken < runs.count, let memory else { return nil }
        let run = runs[taken]
        taken += 1
        return OutboundDatagrams(
            id: run.id, destination: run.destination,
            bytes: UnsafeRawBufferPointer(start: memory + run.offset, count: run.bytes), segmentSize: run.segmentSize,
            count: run.count)
    }
}
