/// What the target makes of datagrams: an echo sends them back, a sink counts them and tells when it is asked.
public final class DatagramTarget {
    /// Flows whose counts a sink keeps; the one that was new longest ago is forgotten first.
    public static let maximumCounted = 4_096

    private struct Count {
        var datagrams: UInt64 = 0
        var wrong: UInt64 = 0
    }

    private let isEcho: Bool
    private let pattern: Pattern
    private var counts: [UInt64: Count] = [:]
    /// Identifiers in the order in which they were new, as a ring.
    private var order: [UInt64] = []
    private var oldest = 0
    private let answer = UnsafeMutableRawBufferPointer.allocate(byteCount: DatagramHeader.byteCount, alignment: 8)

    public private(set) var datagrams: UInt64 = 0
    public private(set) var bytes: UInt64 = 0
    public private(set) var wrongBytes: UInt64 = 0
    /// Flows that were forgotten to make room for others.
    public private(set) var forgotten: UInt64 = 0

    public init(isEcho: Bool, pattern: Pattern) {
        self.isEcho = isEcho
        self.pattern = pattern
    }

    deinit { answer.deallocate() }

    /// - Returns: the answer, if there is one, valid until the next call; an echo's is the datagram itself.
    public func receive(_ datagram: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        datagrams += 1
        bytes += UInt64(datagram.count)
        if isEcho { return datagram }
        guard let header = DatagramHeader(datagram) else { return nil }
        switch header.kind {
        case .data:
            count(datagram, header)
            return nil
        case .query:
            let count = counts[header.identifier] ?? Count()
            DatagramHeader(.report, identifier: header.identifier, sequence: count.datagrams, time: count.wrong)
                .store(to: answer.baseAddress!)
            return UnsafeRawBufferPointer(answer)
        case .report:
            return nil
        }
    }

    private func count(_ datagram: UnsafeRawBufferPointer, _ header: DatagramHeader) {
        let wrong = UInt64(DatagramHeader.mismatches(in: datagram, header, pattern))
        wrongBytes += wrong
        if counts[header.identifier] == nil { remember(header.identifier) }
        counts[header.identifier, default: Count()].datagrams += 1
        counts[header.identifier, default: Count()].wrong += wrong
    }

    private func remember(_ identifier: UInt64) {
        guard order.count == Self.maximumCounted else { return order.append(identifier) }
        counts[order[oldest]] = nil
        forgotten += 1
        order[oldest] = identifier
        oldest = (oldest + 1) % Self.maximumCounted
    }
}
