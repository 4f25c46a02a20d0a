import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Every state times every event: the next state, the events, and the answers, as a text that shows each change of
/// behaviour in review.
struct TransitionTests {
    private typealias Happening = (name: String, run: @Sendable (Trace, _ next: UInt32, _ last: Int) -> Void)

    /// What may happen to a flow. Numbers are those of `Trace.bring`; `next` is RCV.NXT, `last` the newest ACK possible.
    private static let happenings: [Happening] = [
        ("SYN again", { t, _, _ in t.app.sends(.syn, seq: 100, mss: 1460, ws: 7) }),
        ("SYN with text", { t, _, _ in t.app.sends(.syn, seq: 100, len: 10, mss: 1460, ws: 7) }),
        ("SYN lower", { t, _, _ in t.app.sends(.syn, seq: 50) }),
        ("SYN in window", { t, next, _ in t.app.sends(.syn, seq: next + 1_000) }),
        ("SYN-ACK", { t, next, last in t.app.sends([.syn, .ack], seq: next, ack: last) }),
        ("ACK of all", { t, next, last in t.app.sends(.ack, seq: next, ack: last) }),
        ("ACK of nothing new", { t, next, _ in t.app.sends(.ack, seq: next, ack: 0) }),
        ("ACK of the future", { t, next, last in t.app.sends(.ack, seq: next, ack: last + 1) }),
        ("window 0", { t, next, last in t.app.sends(.ack, seq: next, ack: last, win: 0) }),
        ("text", { t, next, last in t.app.sends(.ack, seq: next, ack: last, len: 10) }),
        ("text, out of order", { t, next, last in t.app.sends(.ack, seq: next + 10, ack: last, len: 10) }),
        ("text, old", { t, next, last in t.app.sends(.ack, seq: next - 1, ack: last, len: 1) }),
        ("text, beyond window", { t, next, last in t.app.sends(.ack, seq: next + 2_000_000, ack: last, len: 10) }),
        ("text without ACK", { t, next, _ in t.app.sends([], seq: next, len: 10) }),
        ("FIN", { t, next, last in t.app.sends([.fin, .ack], seq: next, ack: last) }),
        ("FIN with text", { t, next, last in t.app.sends([.fin, .ack], seq: next, ack: last, len: 10) }),
        ("FIN without new ACK", { t, next, last in t.app.sends([.fin, .ack], seq: next, ack: max(0, last - 1)) }),
        ("FIN again", { t, next, last in t.app.sends([.fin, .ack], seq: next - 1, ack: last) }),
        ("RST exact", { t, next, _ in t.app.sends(.rst, seq: next) }),
        ("RST in window", { t, next, _ in t.app.sends(.rst, seq: next + 1) }),
        ("RST outside", { t, next, _ in t.app.sends(.rst, seq: next - 1) }),
        ("timer", { t, _, _ in if t.timer != nil { t.untilTimer() } }),
        // The dial is not decided, something is in flight, or nothing is: dial timeout, user timeout, keepalive.
        ("long silence", { t, _, _ in t.untilConsequenceOfSilence() }),
        ("ICMP soft", { t, _, last in t.unreachable(code: 1, about: last - 1) }),
        ("ICMP hard", { t, _, last in t.unreachable(code: 3, about: last - 1) }),
        ("ICMP hard, not sent", { t, _, last in t.unreachable(code: 3, about: last) }),
        ("accept", { t, _, _ in t.owner.accepts() }),
        ("reject refused", { t, _, _ in t.owner.rejects(.refused) }),
        ("reject unreachable", { t, _, _ in t.owner.rejects(.hostUnreachable) }),
        ("reject silence", { t, _, _ in t.owner.rejects(.silence) }),
        ("write", { t, _, _ in t.owner.writes(10) }),
        (
            "write, window 0",
            { t, next, last in
                t.app.sends(.ack, seq: next, ack: last, win: 0)
                t.owner.writes(10)
            }
        ),
        ("finish", { t, _, _ in t.owner.finishes() }),
        ("abort", { t, _, _ in t.owner.aborts() }),
        ("release", { t, _, _ in t.owner.releases(10) }),
    ]

    private func line(_ state: TCPState, _ happening: Happening) -> String {
        let t = Trace()
        t.bring(to: state)
        let hasSent: Int =
            switch state {
            case .opening: 0
            case .synReceived, .established, .closeWait: 1
            case .finWait1, .finWait2, .closing, .lastAck, .timeWait: 2
            }
        happening.run(t, state.hasReceivedFIN ? 102 : 101, hasSent)
        let old = t.flow
        var answers: [String] = []
        while let packet = t.nextPacket() {
            guard let tcp = packet.tcp else {
                answers.append("ICMP \(packet.icmp!.type)/\(packet.icmp!.code)")
                continue
            }
            let base = t.natStart ?? (tcp.flags.contains(.syn) ? tcp.sequence.rawValue : 0)
            let number = "\(flagNames(tcp.flags)) \(tcp.sequence.rawValue &- base)"
            let length = packet.payload.isEmpty ? "" : "+\(packet.payload.count)"
            answers.append(number + length + (tcp.flags.contains(.ack) ? " ack \(tcp.acknowledgment)" : ""))
        }
        let reports = t.takeReports().map { "\($0)" }
        let next = old.flatMap { t.nat.state(of: $0) }.map { "\($0)" } ?? "gone"
        let cells = [
            happening.name.padding(20), next == "\(state)" ? "same".padding(12) : next.padding(12),
            (t.delivered.isEmpty ? "-" : "\(t.delivered.count) B").padding(6),
            (reports.isEmpty ? "-" : reports.joined(separator: ", ")).padding(24),
            answers.isEmpty ? "-" : answers.joined(separator: "; "),
        ]
        return cells.joined(separator: " | ")
    }

    private func table() -> String {
        var lines = [
            "What a flow does in each state: event | next state | delivered | reported | answered.",
            "The application began at 100, our numbers count from our initial sequence number.",
        ]
        for state in TCPState.allCases {
            lines += ["", "\(state)"]
            lines += Self.happenings.map { line(state, $0) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// To accept a change, run with `UPDATE_SNAPSHOTS=1` in the environment and review the difference.
    @Test func theTransitionTableIsAsRecorded() throws {
        try SnapshotFile.expect(table(), isRecordedIn: "transitions.txt")
    }
}

extension Trace {
    /// Goes to the time when the application's silence has consequences, if it ever has.
    fileprivate func untilConsequenceOfSilence() {
        guard let flow, let deadline = nat.lifetimeDeadline(of: flow) else { return }
        after(deadline - now)
    }

    /// An ICMP error about a segment of ours that begins at a number, counted from our first.
    fileprivate func unreachable(code: UInt8, about number: Int) {
        let sequence = (natStart ?? 0) &+ UInt32(truncatingIfNeeded: number)
        var header = [UInt8](repeating: 0, count: TCPHeader.minimumLength)
        header.withUnsafeMutableBytes { bytes in
            _ = PacketWriter.writeTCPHeader(
                to: bytes.baseAddress!, sourcePort: destination.port, destinationPort: source.port,
                sequence: SequenceNumber(sequence), acknowledgment: SequenceNumber(0), flags: .ack, window: 0,
                options: .none)
        }
        let quoted = Built.ip(from: destination.address, to: source.address, IPProtocol.tcp, header)
        inject(
            Built.icmp(
                type: 3, code: code, quoting: quoted, from: IPAddress("10.0.0.254")!, to: destination.address))
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
