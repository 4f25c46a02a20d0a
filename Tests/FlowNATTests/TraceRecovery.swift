import Packets
import Primitives
import Testing

@testable import FlowNAT

/// A peer that speaks SACK, and what the traces of loss recovery say again and again.
extension Application {
    /// An ACK with SACK blocks; all numbers count from our initial sequence number. A D-SACK is a block below `ack`.
    func sacks(_ blocks: (Int, Int)..., ack: Int, win: UInt16 = 0xFFFF) {
        var sack = SACKBlocks()
        let start = trace.natStart ?? 0
        for block in blocks {
            _ = sack.append(
                SACKBlock(
                    start: SequenceNumber(start &+ UInt32(block.0)), end: SequenceNumber(start &+ UInt32(block.1))))
        }
        trace.inject(
            segment(
                .ack, sequence: 101, acknowledgment: start &+ UInt32(ack), window: win, options: TCPOptions(sack: sack))
        )
    }

    /// The next packets are full segments that begin at these numbers, and nothing more goes out.
    func expectsSegments(at starts: [Int], sourceLocation: SourceLocation = #_sourceLocation) {
        var sent: [Int] = []
        while let packet = trace.nextPacket(sourceLocation: sourceLocation) {
            sent.append(Int(packet.tcp!.sequence.rawValue &- (trace.natStart ?? 0)))
            #expect(packet.payload.count == Trace.segment, sourceLocation: sourceLocation)
            #expect(
                packet.payload.indices.allSatisfy { packet.payload[$0] == Trace.pattern(sent.last! - 1 + $0) },
                sourceLocation: sourceLocation)
        }
        #expect(sent == starts, sourceLocation: sourceLocation)
    }
}

extension Trace {
    /// Payload of one segment in the traces of recovery.
    static let segment = 1_000

    /// The number of the `i`th segment, counted from zero.
    static func start(_ i: Int) -> Int { 1 + i * segment }

    /// Sends a flight of so many segments and leaves them unanswered.
    func sendsFlight(_ count: Int, from first: Int = 0, sourceLocation: SourceLocation = #_sourceLocation) {
        owner.writes(count * Self.segment)
        app.expectsSegments(at: (first..<first + count).map(Self.start), sourceLocation: sourceLocation)
    }
}

/// An established flow with segments of 1000 bytes whose handshake took `roundTrip`; RTO is that and 200 ms more.
func openedForRecovery(
    sack: Bool = true, roundTrip: Interval = .milliseconds(100), _ change: (inout FlowSettings) -> Void = { _ in }
) -> Trace {
    var settings = FlowSettings()
    settings.offload = false
    change(&settings)
    let t = Trace(settings: settings)
    t.applicationStart = 100
    t.inject(
        t.app.segment(
            .syn, sequence: 100, options: TCPOptions(maximumSegmentSize: 1_000, windowScale: 7, sackPermitted: sack)))
    t.owner.accepts()
    t.app.expects([.syn, .ack], seq: 0, ack: 101)
    t.now = t.now + roundTrip
    t.app.sends(.ack, seq: 101, ack: 1)
    t.app.expectsNothing()
    t.reports(.connect, .established)
    return t
}
