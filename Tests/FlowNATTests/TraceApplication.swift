import Packets
import Primitives
import Testing

@testable import FlowNAT

/// The application's kernel, played by the test.
struct Application {
    let trace: Trace

    // MARK: Sends

    /// - Parameters:
    ///   - seq: absolute; where the SYN is, `applicationStart` begins.
    ///   - ack: counted from our initial sequence number; needs the ACK flag.
    ///   - len: payload bytes, from the pattern.
    func sends(
        _ flags: TCPFlags, seq: UInt32, ack: Int? = nil, len: Int = 0, win: UInt16 = 0xFFFF, mss: UInt16? = nil,
        ws: UInt8? = nil, header: VirtioHeader = .none
    ) {
        if flags.contains(.syn), !flags.contains(.ack), trace.flow == nil { trace.applicationStart = seq }
        let first = Int(Int32(bitPattern: seq &- trace.applicationStart &- (flags.contains(.syn) ? 0 : 1)))
        let payload = (first..<first + len).map(Trace.pattern)
        trace.inject(
            segment(
                flags, sequence: seq,
                acknowledgment: ack.map { (trace.natStart ?? 0) &+ UInt32(truncatingIfNeeded: $0) },
                payload: payload, window: win, options: TCPOptions(maximumSegmentSize: mss, windowScale: ws)),
            header)
    }

    /// A whole IP packet from the application.
    func segment(
        _ flags: TCPFlags, sequence: UInt32, acknowledgment: UInt32? = nil, payload: [UInt8] = [],
        window: UInt16 = 0xFFFF, options: TCPOptions = .none
    ) -> [UInt8] {
        let (source, destination) = (trace.source, trace.destination)
        let ipLength = PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4)
        let tcpLength = TCPHeader.minimumLength + options.encodedLength
        var packet = [UInt8](repeating: 0, count: ipLength + tcpLength) + payload
        packet.withUnsafeMutableBytes { bytes in
            let memory = bytes.baseAddress!
            PacketWriter.writeIPHeader(
                to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.tcp,
                payloadLength: tcpLength + payload.count)
            PacketWriter.writeTCPHeader(
                to: memory + ipLength, sourcePort: source.port, destinationPort: destination.port,
                sequence: SequenceNumber(sequence), acknowledgment: SequenceNumber(acknowledgment ?? 0),
                flags: acknowledgment == nil ? flags : flags.union(.ack), window: window, options: options)
            PacketWriter.setChecksum(
                at: memory + ipLength, length: tcpLength + payload.count, protocol: .tcp, source: source.address,
                destination: destination.address)
        }
        return packet
    }

    /// The handshake: SYN 100 with MSS 1460 and window scale 7, and everything reported so far is forgotten.
    func opens(win: UInt16 = 0xFFFF, mss: UInt16? = 1460, ws: UInt8? = 7) {
        sends(.syn, seq: 100, win: win, mss: mss, ws: ws)
        trace.owner.accepts()
        expects([.syn, .ack], seq: 0, ack: 101)
        sends(.ack, seq: 101, ack: 1, win: win)
        expectsNothing()
        trace.reports(.connect, .established)
    }

    // MARK: Expects

    /// - Parameters:
    ///   - seq: counted from our initial sequence number, which the first SYN-ACK tells; absolute before.
    ///   - ack: absolute; nil for a segment without the ACK flag.
    ///   - win: the window field as it is on the wire.
    ///   - gso: the virtio header's segment size, 0 for a plain packet.
    @discardableResult
    func expects(
        _ flags: TCPFlags, seq: Int, ack: UInt32? = nil, len: Int = 0, win: Int? = nil, mss: UInt16? = nil,
        ws: UInt8? = nil, gso: Int? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) -> SentPacket? {
        guard let packet = trace.nextPacket(sourceLocation: sourceLocation), let tcp = packet.tcp else {
            Issue.record("nothing was sent", sourceLocation: sourceLocation)
            return nil
        }
        if flags.contains([.syn, .ack]), trace.natStart == nil { trace.natStart = tcp.sequence.rawValue }
        let base = trace.natStart ?? 0
        #expect(tcp.flags.subtracting(.psh) == flags.subtracting(.psh), sourceLocation: sourceLocation)
        #expect(Int(tcp.sequence.rawValue &- base) == seq, sourceLocation: sourceLocation)
        if let ack { #expect(tcp.acknowledgment.rawValue == ack, sourceLocation: sourceLocation) }
        #expect(packet.payload.count == len, sourceLocation: sourceLocation)
        if let win { #expect(Int(tcp.window) == win, sourceLocation: sourceLocation) }
        if let mss { #expect(tcp.options.maximumSegmentSize == mss, sourceLocation: sourceLocation) }
        if let ws { #expect(tcp.options.windowScale == ws, sourceLocation: sourceLocation) }
        if let gso { #expect(Int(packet.header.segmentSize) == gso, sourceLocation: sourceLocation) }
        #expect(
            packet.payload.indices.allSatisfy { packet.payload[$0] == Trace.pattern(seq - 1 + $0) },
            "the payload is not what was written there", sourceLocation: sourceLocation)
        return packet
    }

    func expectsNothing(sourceLocation: SourceLocation = #_sourceLocation) {
        if let packet = trace.nextPacket(sourceLocation: sourceLocation) {
            Issue.record("sent: \(packet)", sourceLocation: sourceLocation)
        }
    }

    /// An ICMP error about the SYN: its code, and what it quotes.
    func expectsUnreachable(type: UInt8, code: UInt8, seq: UInt32, sourceLocation: SourceLocation = #_sourceLocation) {
        guard let packet = trace.nextPacket(sourceLocation: sourceLocation), let icmp = packet.icmp else {
            Issue.record("no ICMP message was sent", sourceLocation: sourceLocation)
            return
        }
        #expect(icmp.type == type && icmp.code == code, sourceLocation: sourceLocation)
        #expect(packet.ip.destination == trace.source.address, sourceLocation: sourceLocation)
        let quoted = packet.payload.span.bytes
        guard let original = try? IPHeader.parseQuoted(quoted),
            let tcp = try? TCPHeader.parse(quoted.extracting(original.headerLength..<quoted.byteCount))
        else {
            Issue.record("the quotation cannot be read", sourceLocation: sourceLocation)
            return
        }
        #expect(Endpoint(original.source, tcp.sourcePort) == trace.source, sourceLocation: sourceLocation)
        #expect(
            Endpoint(original.destination, tcp.destinationPort) == trace.destination, sourceLocation: sourceLocation)
        #expect(tcp.sequence.rawValue == seq, sourceLocation: sourceLocation)
    }
}

/// A packet that FlowNAT gave to the TUN, taken apart.
struct SentPacket: CustomStringConvertible {
    let bytes: [UInt8]
    let header: VirtioHeader
    let ip: IPHeader
    let tcp: TCPHeader?
    let icmp: ICMPHeader?
    /// Of TCP, or what follows the ICMP header.
    let payload: [UInt8]

    init?(_ buffer: PacketBuffer, sourceLocation: SourceLocation) {
        var bytes = buffer.flattened()
        header = buffer.offload
        if header.flags & VirtioHeader.needsChecksum != 0 {
            let header = header
            let isCompleted = bytes.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) }
            #expect(isCompleted, sourceLocation: sourceLocation)
        }
        guard let ip = try? IPHeader.parse(bytes.span.bytes), ip.totalLength == bytes.count else {
            Issue.record("an IP packet that cannot be read", sourceLocation: sourceLocation)
            return nil
        }
        self.bytes = bytes
        self.ip = ip
        let message = bytes.span.bytes.extracting(ip.upperLayer)
        switch ip.protocol {
        case IPProtocol.tcp:
            guard let tcp = try? TCPHeader.parse(message) else {
                Issue.record("a TCP header that cannot be read", sourceLocation: sourceLocation)
                return nil
            }
            let isValid = Checksum.isValid(
                segment: message, source: ip.source, destination: ip.destination, protocol: IPProtocol.tcp)
            #expect(isValid, "a wrong TCP checksum", sourceLocation: sourceLocation)
            self.tcp = tcp
            icmp = nil
            payload = Array(bytes[(ip.headerLength + tcp.headerLength)...])
        default:
            tcp = nil
            icmp = try? ICMPHeader.parse(message)
            payload = Array(bytes[min(bytes.count, ip.headerLength + ICMPHeader.byteCount)...])
        }
    }

    var description: String {
        guard let tcp else { return "protocol \(ip.protocol), \(bytes.count) bytes" }
        return
            "\(flagNames(tcp.flags)) seq \(tcp.sequence) ack \(tcp.acknowledgment) len \(payload.count) win \(tcp.window)"
    }
}

/// The flags as a trace writes them, such as `SYN|ACK`.
func flagNames(_ flags: TCPFlags) -> String {
    let names: [(TCPFlags, String)] = [
        (.syn, "SYN"), (.fin, "FIN"), (.rst, "RST"), (.psh, "PSH"), (.ack, "ACK"), (.urg, "URG"),
    ]
    let found = names.filter { flags.contains($0.0) }.map(\.1)
    return found.isEmpty ? "none" : found.joined(separator: "|")
}
