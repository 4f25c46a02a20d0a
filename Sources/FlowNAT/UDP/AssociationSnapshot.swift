import Primitives

/// One UDP association as it stands, as `FlowSnapshot` is of a TCP flow.
public struct AssociationSnapshot: Sendable, Equatable {
    public var id: AssociationID
    /// The application's own endpoint; whom it speaks to is not kept.
    public var source: Endpoint
    /// Datagrams from the application, and their payload bytes.
    public var datagramsIn: UInt64
    public var bytesIn: UInt64
    /// Datagrams that left for the application, and their payload bytes.
    public var datagramsOut: UInt64
    public var bytesOut: UInt64
    /// Since the first datagram.
    public var age: Interval
    /// Since the last datagram from the application.
    public var idle: Interval
    /// Datagrams that wait for the TUN, and their payload bytes.
    public var queued: Int
    public var queuedBytes: Int
}

extension FlowNAT {
    /// Calls `body` with every UDP association, by slot. Nothing is allocated.
    public func forEachAssociation(now: Instant, _ body: (AssociationSnapshot) -> Void) {
        associations.forEach { association in body(association.pointee.snapshot(now: now)) }
    }

    /// All UDP associations, by slot.
    public func associationSnapshot(now: Instant) -> [AssociationSnapshot] {
        var snapshots: [AssociationSnapshot] = []
        snapshots.reserveCapacity(associationCount)
        forEachAssociation(now: now) { snapshots.append($0) }
        return snapshots
    }
}

extension Association {
    func snapshot(now: Instant) -> AssociationSnapshot {
        AssociationSnapshot(
            id: id, source: source, datagramsIn: traffic.datagramsIn, bytesIn: traffic.bytesIn,
            datagramsOut: traffic.datagramsOut, bytesOut: traffic.bytesOut, age: now - created, idle: now - lastSent,
            queued: queue.count, queuedBytes: queue.bytes)
    }
}

extension AssociationSnapshot: CustomStringConvertible {
    /// One line, in the words of `FlowSnapshot`'s: `udp src=10.0.0.2 sport=5000 in=1200 out=64000 datagrams-in=3
    /// datagrams-out=50 age=12.034 idle=0.250 queue=0 queued=0`. `in`, `out` and `queue` are bytes, `queued` datagrams.
    public var description: String {
        let words = [
            "udp", "src=\(source.address)", "sport=\(source.port)", "in=\(bytesIn)", "out=\(bytesOut)",
            "datagrams-in=\(datagramsIn)", "datagrams-out=\(datagramsOut)",
            "age=\(age.decimal(per: 1_000_000_000, 3))", "idle=\(idle.decimal(per: 1_000_000_000, 3))",
            "queue=\(queuedBytes)", "queued=\(queued)",
        ]
        return words.joined(separator: " ")
    }
}
