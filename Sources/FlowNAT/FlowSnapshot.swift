import Primitives

/// One flow as it stands: what `conntrack -L` and `ss -i` tell of a kernel's connections.
public struct FlowSnapshot: Sendable, Equatable {
    public var id: FlowID
    public var state: TCPState
    public var addresses: FlowAddresses
    /// Bytes from the application that the owner took.
    public var bytesIn: UInt64
    /// Bytes from the owner that the application has acknowledged.
    public var bytesOut: UInt64
    /// Since the SYN.
    public var age: Interval
    /// Since the last segment from the application.
    public var idle: Interval
    /// Nil until something was measured.
    public var smoothedRoundTrip: Interval?
    public var retransmissionTimeout: Interval
    /// Bytes.
    public var congestionWindow: Int
    /// The application's window, scaled up, bytes.
    public var peerWindow: Int
    /// Bytes that the application has not acknowledged, sent or not.
    public var queued: Int
    /// Bytes that the owner took and has not passed on.
    public var unreleased: Int
    /// Segments sent more than once.
    public var retransmissions: UInt32
}

extension FlowNAT {
    /// Calls `body` with every flow, by slot. Nothing is allocated.
    public func forEachFlow(now: Instant, _ body: (FlowSnapshot) -> Void) {
        flows.forEach { flow in body(flow.pointee.snapshot(now: now)) }
    }

    /// All flows, by slot.
    public func snapshot(now: Instant) -> [FlowSnapshot] {
        var snapshots: [FlowSnapshot] = []
        snapshots.reserveCapacity(flowCount)
        forEachFlow(now: now) { snapshots.append($0) }
        return snapshots
    }
}

extension TCPFlow {
    func snapshot(now: Instant) -> FlowSnapshot {
        FlowSnapshot(
            id: id, state: state, addresses: addresses, bytesIn: life.bytesIn, bytesOut: life.bytesOut,
            age: now - life.created, idle: now - life.lastHeard, smoothedRoundTrip: roundTrip.smoothed,
            retransmissionTimeout: roundTrip.timeout, congestionWindow: congestion.window, peerWindow: peerWindow,
            queued: sendQueue.count, unreleased: unreleased, retransmissions: life.retransmissions)
    }
}

extension TCPState {
    /// The name in RFC 9293; OPENING for the state that it does not know.
    public var name: String {
        switch self {
        case .opening: "OPENING"
        case .synReceived: "SYN-RECEIVED"
        case .established: "ESTABLISHED"
        case .finWait1: "FIN-WAIT-1"
        case .finWait2: "FIN-WAIT-2"
        case .closeWait: "CLOSE-WAIT"
        case .closing: "CLOSING"
        case .lastAck: "LAST-ACK"
        case .timeWait: "TIME-WAIT"
        }
    }
}

extension FlowSnapshot: CustomStringConvertible {
    /// One line, words as `conntrack -L` has them:
    /// `tcp ESTABLISHED src=10.0.0.2 dst=192.0.2.1 sport=40000 dport=443 in=1200 out=64000 age=12.034 idle=0.250 rtt=0.8
    /// rto=200.0 cwnd=14480 wnd=65535 queue=0 held=0 retrans=0`.
    /// `in` and `out` are bytes from and to the application, `age` and `idle` seconds, `rtt` and `rto` milliseconds,
    /// `held` the bytes that the owner has not passed on yet; an unknown `rtt` is `-`.
    public var description: String {
        let (source, destination) = (addresses.source, addresses.destination)
        let words = [
            "tcp \(state.name)", "src=\(source.address)", "dst=\(destination.address)", "sport=\(source.port)",
            "dport=\(destination.port)", "in=\(bytesIn)", "out=\(bytesOut)",
            "age=\(age.decimal(per: 1_000_000_000, 3))", "idle=\(idle.decimal(per: 1_000_000_000, 3))",
            "rtt=\(smoothedRoundTrip.map { $0.decimal(per: 1_000_000, 1) } ?? "-")",
            "rto=\(retransmissionTimeout.decimal(per: 1_000_000, 1))", "cwnd=\(congestionWindow)",
            "wnd=\(peerWindow)", "queue=\(queued)", "held=\(unreleased)", "retrans=\(retransmissions)",
        ]
        return words.joined(separator: " ")
    }
}

extension Interval {
    /// The interval in units of `per` nanoseconds with so many digits behind the point, cut off.
    func decimal(per unit: Int64, _ digits: Int) -> String {
        let nanoseconds = max(0, nanoseconds)
        var scale: Int64 = 1
        for _ in 0..<digits { scale *= 10 }
        let fraction = String(nanoseconds % unit / (unit / scale))
        return "\(nanoseconds / unit).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}
