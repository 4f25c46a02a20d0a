import Primitives

/// One number with its name, such as `retransmissions 12`: a counter that only grows, or a gauge.
public struct FlowMetric: Equatable, Sendable {
    /// Words of lower case joined by underscores. A name keeps its meaning from one version to the next.
    public var name: String
    public var value: Int

    public init(name: String, value: Int) {
        self.name = name
        self.value = value
    }
}

extension FlowCounters {
    /// All counters in the order of their declaration; a counter that is added is in the list at once.
    public var list: [FlowMetric] { metrics(of: self) }

    /// What came of the packets that came in, of which other counters tell more: each packet adds to one of these and to no other. A packet put together from
    /// fragments is looked at again, so the sum is `packetsIn` + `reassembled`. Whoever adds a way for a packet to end
    /// adds it here.
    var outcomesOfPacketsIn: [Int] {
        [
            malformed, badChecksum, unsupportedProtocol, impossibleAddress, sourceRouted, unknownOptions, fragments,
            noFlow, tableFull, halfOpenFull, sourceFull, sourceHalfOpenFull, opened, flowSegments, associationPackets,
            icmpErrorsIn,
        ]
    }
}

/// How full everything is.
public struct FlowGauges: Equatable, Sendable {
    /// Flows in the table, and of these:
    public var flows: Int
    /// those whose dial or handshake is not over,
    public var halfOpen: Int
    /// those between the handshake and the end,
    public var active: Int
    /// those in TIME-WAIT.
    public var timeWait: Int
    /// Application hosts that have flows.
    public var sources: Int
    /// UDP associations, and bytes of datagrams that wait for the TUN.
    public var associations: Int
    public var datagramBytes: Int
    /// Datagrams of which fragments came, and bytes that are kept for such.
    public var reassemblies: Int
    public var reassemblyBytes: Int
    /// Flows with a timer.
    public var timers: Int
    /// Bytes of segments that wait for their predecessors.
    public var heldBytes: Int
    /// Bytes of answers of no flow that wait for the TUN.
    public var replyBytes: Int
    /// Bytes of the pool in use, and the most that ever were. Others may take from the same pool.
    public var poolBytes: Int
    public var poolHighWaterBytes: Int
    /// Bytes of the tables themselves.
    public var tableBytes: Int

    /// All gauges in the order of their declaration.
    public var list: [FlowMetric] { metrics(of: self) }
}

extension FlowNAT {
    public var gauges: FlowGauges {
        FlowGauges(
            flows: flows.count, halfOpen: lists.count(of: .halfOpen), active: lists.count(of: .active),
            timeWait: lists.count(of: .waiting), sources: sources.count, associations: associations.count,
            datagramBytes: associations.queuedBytes, reassemblies: reassembly.count,
            reassemblyBytes: reassembly.memory, timers: deadlines.count,
            heldBytes: heldMemory.usedBytes, replyBytes: replies.byteCount,
            poolBytes: pool.outstanding * BlockPool.blockSize, poolHighWaterBytes: pool.highWater * BlockPool.blockSize,
            tableBytes: flows.byteCount + sources.byteCount)
    }
}

/// The stored whole numbers of a value, `packetsIn` as `packets_in`.
private func metrics(of value: some Any) -> [FlowMetric] {
    Mirror(reflecting: value).children.compactMap { child in
        guard let label = child.label, let number = child.value as? Int else { return nil }
        return FlowMetric(name: underscored(label), value: number)
    }
}

private func underscored(_ name: String) -> String {
    name.reduce(into: "") { result, character in
        if character.isUppercase { result.append("_") }
        result.append(contentsOf: character.lowercased())
    }
}
