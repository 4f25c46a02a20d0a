import Packets
import Primitives
import Testing

@testable import FlowNAT

/// What an application says in options, in the IP header's ECN field, and with its urgent pointer.
extension Application {
    /// A segment with these options and no others; the numbers are those of the plain `sends`.
    func sends(
        _ flags: TCPFlags, seq: UInt32, ack: Int? = nil, len: Int = 0, win: UInt16 = 0xFFFF, options: TCPOptions,
        trafficClass: UInt8 = 0, urgent: UInt16 = 0
    ) {
        if flags.contains(.syn), !flags.contains(.ack), trace.flow == nil { trace.applicationStart = seq }
        let first = Int(Int32(bitPattern: seq &- trace.applicationStart &- (flags.contains(.syn) ? 0 : 1)))
        var packet = segment(
            flags, sequence: seq, acknowledgment: ack.map { (trace.natStart ?? 0) &+ UInt32(truncatingIfNeeded: $0) },
            payload: (first..<first + len).map(Trace.pattern), window: win, options: options)
        precondition(trace.source.address.isIPv4)
        let (source, destination) = (trace.source.address, trace.destination.address)
        packet.withUnsafeMutableBytes { bytes in
            let tcp = bytes.baseAddress! + PacketWriter.ipv4HeaderLength
            bytes[1] = trafficClass
            PacketWriter.setIPv4HeaderChecksum(at: bytes.baseAddress!, headerLength: PacketWriter.ipv4HeaderLength)
            tcp.storeBytes(of: urgent.bigEndian, toByteOffset: 18, as: UInt16.self)
            PacketWriter.setChecksum(
                at: tcp, length: bytes.count - PacketWriter.ipv4HeaderLength, protocol: .tcp, source: source,
                destination: destination)
        }
        trace.inject(packet)
    }

    /// The same with a timestamp alone.
    func sends(
        _ flags: TCPFlags, seq: UInt32, ack: Int? = nil, len: Int = 0, ts: UInt32, echo: UInt32 = 0,
        trafficClass: UInt8 = 0
    ) {
        sends(
            flags, seq: seq, ack: ack, len: len, options: TCPOptions(timestamps: (ts, echo)),
            trafficClass: trafficClass)
    }

    /// A segment whose options are these bytes, filled up to a word with zeros.
    func sends(_ flags: TCPFlags, seq: UInt32, ack: Int? = nil, rawOptions: [UInt8]) {
        if flags.contains(.syn), trace.flow == nil { trace.applicationStart = seq }
        let filled = rawOptions + [UInt8](repeating: 0, count: (4 - rawOptions.count % 4) % 4)
        var packet = segment(
            flags, sequence: seq, acknowledgment: ack.map { (trace.natStart ?? 0) &+ UInt32(truncatingIfNeeded: $0) },
            payload: filled)
        let (source, destination) = (trace.source.address, trace.destination.address)
        packet.withUnsafeMutableBytes { bytes in
            let tcp = bytes.baseAddress! + PacketWriter.ipv4HeaderLength
            let words = UInt8((TCPHeader.minimumLength + filled.count) / 4)
            tcp.storeBytes(of: words << 4, toByteOffset: 12, as: UInt8.self)
            PacketWriter.setChecksum(
                at: tcp, length: bytes.count - PacketWriter.ipv4HeaderLength, protocol: .tcp, source: source,
                destination: destination)
        }
        trace.inject(packet)
    }
}

extension Trace {
    /// A handshake that agrees on what is asked for: the application's numbers begin at 101, ours at 1.
    /// - Parameter ts: TSval of the SYN and of the last ACK.
    func opens(ts: UInt32? = nil, sack: Bool = false, ecn: Bool = false) {
        let options = TCPOptions(
            maximumSegmentSize: 1_460, windowScale: 7, sackPermitted: sack, timestamps: ts.map { ($0, 0) })
        app.sends(ecn ? [.syn, .ece, .cwr] : .syn, seq: 100, options: options)
        owner.accepts()
        let answer = app.expects(ecn ? [.syn, .ack, .ece] : [.syn, .ack], seq: 0, ack: 101)
        #expect(answer?.tcp?.options.sackPermitted == sack)
        #expect(answer?.tcp?.options.timestamps?.echo == ts)
        let echo = answer?.tcp?.options.timestamps?.value
        app.sends(.ack, seq: 101, ack: 1, options: TCPOptions(timestamps: ts.map { ($0, echo!) }))
        app.expectsNothing()
        reports(.connect, .established)
    }
}

extension SentPacket {
    /// The SACK blocks as pairs of the application's own numbers.
    var blocks: [[UInt32]] { tcp?.options.sack.map { [$0.start.rawValue, $0.end.rawValue] } ?? [] }
    var timestamps: (value: UInt32, echo: UInt32)? { tcp?.options.timestamps }
    var congestionField: UInt8 { ip.trafficClass & 3 }
}
