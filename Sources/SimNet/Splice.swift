import Packets
import Primitives

/// A middlebox that marries two TCPs which both only answer: each hears a SYN from it, and then it translates numbers,
/// ports and addresses so that each takes the other for the one that called.
///
/// Packets go in from one side with `translate` and are then for the other; what reaches a side at last is shown to
/// `noteArrival`, so that the splice knows which window that side has been promised. Sides are 0 and 1.
public struct Splice {
    /// One of the two TCPs, and whom it believes to speak to.
    public struct Side: Sendable {
        /// The application that the splice plays.
        public var application: Endpoint
        /// The address that this TCP answers for.
        public var destination: Endpoint
        /// The window scale that this TCP will offer, so that it can be told to the other one in its SYN.
        public var windowScale: UInt8

        public init(application: Endpoint, destination: Endpoint, windowScale: UInt8) {
            self.application = application
            self.destination = destination
            self.windowScale = windowScale
        }

        /// What we began with towards this TCP, and what it began with.
        var ours = SequenceNumber(0)
        var theirs: SequenceNumber?
        var ourTimestamp: UInt32 = 0
        var theirTimestamp: UInt32?
        /// One past the last number that this TCP has been allowed to send.
        var edge: SequenceNumber?
        var window: UInt16 = 0
    }

    public private(set) var sides: [Side]
    /// What a side did that no TCP may do.
    public private(set) var violations: [String] = []
    /// Segments with text that a side sent at all, and those that began below the highest number sent before.
    public private(set) var segments = [0, 0]
    public private(set) var retransmissions = [0, 0]
    private var highest: [SequenceNumber?] = [nil, nil]

    /// The most entries of `violations`.
    public static let violationLimit = 16

    public init(_ first: Side, _ second: Side, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        sides = [first, second]
        for i in 0...1 {
            sides[i].ours = SequenceNumber(UInt32.random(in: 0 ... .max, using: &random))
            sides[i].ourTimestamp = UInt32.random(in: 1 ... .max, using: &random)
        }
    }

    // MARK: The handshake

    /// The SYN for a side. Both get theirs with the same offers; what both answer to is in use.
    public func openingPacket(for side: Int, maximumSegmentSize: UInt16, timestamps: Bool, sackPermitted: Bool)
        -> [UInt8]
    {
        var options = TCPOptions(
            maximumSegmentSize: maximumSegmentSize, windowScale: sides[1 - side].windowScale,
            sackPermitted: sackPermitted)
        if timestamps { options.timestamps = (sides[side].ourTimestamp, 0) }
        return encode(
            to: side, sequence: sides[side].ours, acknowledgment: SequenceNumber(0), flags: .syn, window: 0xFFFF,
            options: options, payload: [])
    }

    /// Takes a SYN-ACK; false for anything else.
    public mutating func takeAnswer(_ packet: [UInt8], from side: Int) -> Bool {
        guard let (_, tcp, _) = Self.parse(packet), tcp.flags.contains([.syn, .ack]),
            tcp.acknowledgment == sides[side].ours + 1
        else { return false }
        sides[side].theirs = tcp.sequence
        sides[side].theirTimestamp = tcp.options.timestamps?.value
        sides[side].window = tcp.window
        if tcp.options.windowScale != sides[side].windowScale {
            note("side \(side) offers window scale \(String(describing: tcp.options.windowScale))")
        }
        return true
    }

    /// The handshake's last ACK for a side, once both have answered. It carries the other side's first window.
    public mutating func closingPacket(for side: Int) -> [UInt8]? {
        guard let theirs = sides[side].theirs, sides[1 - side].theirs != nil else { return nil }
        let other = sides[1 - side]
        let field = other.window >> UInt16(other.windowScale)
        var options = TCPOptions()
        if let value = sides[side].theirTimestamp { options.timestamps = (sides[side].ourTimestamp, value) }
        sides[side].edge = theirs + 1 + Int(field) << Int(other.windowScale)
        highest[side] = theirs + 1
        return encode(
            to: side, sequence: sides[side].ours + 1, acknowledgment: theirs + 1, flags: .ack, window: field,
            options: options, payload: [])
    }

    // MARK: Translation

    /// A packet from one side as the other one shall see it; nil for what is no segment of this connection.
    ///
    /// - Parameter header: its virtio header, if any; good for the result too.
    public mutating func translate(_ packet: [UInt8], header: VirtioHeader = .none, from side: Int) -> [UInt8]? {
        let (from, to) = (sides[side], sides[1 - side])
        guard let (ip, tcp, payload) = Self.parse(packet), let begun = from.theirs, let end = to.theirs,
            Endpoint(ip.source, tcp.sourcePort) == from.destination, !tcp.flags.contains(.syn)
        else { return nil }
        check(tcp, payload: payload.count, from: side)
        // What this side calls its own, the other one knows by the number that we began with there; and the reverse.
        let sequence = to.ours + (tcp.sequence - begun)
        let shift = end - from.ours
        var options = tcp.options
        options.sack.removeAll()
        for block in tcp.options.sack {
            _ = options.sack.append(SACKBlock(start: block.start + shift, end: block.end + shift))
        }
        if let stamps = tcp.options.timestamps, let mine = from.theirTimestamp, let other = to.theirTimestamp {
            options.timestamps = (
                stamps.value &- mine &+ to.ourTimestamp, stamps.echo &- from.ourTimestamp &+ other
            )
        }
        return encode(
            to: 1 - side, sequence: sequence,
            acknowledgment: tcp.flags.contains(.ack) ? tcp.acknowledgment + shift : SequenceNumber(0),
            flags: tcp.flags, window: tcp.window, options: options, payload: payload, header: header,
            trafficClass: ip.trafficClass)
    }

    /// A translated packet has reached a side: it may send up to the window that this promises.
    ///
    /// - Parameter isTrusted: the checksum may be partial, and the link does not corrupt.
    public mutating func noteArrival(_ packet: [UInt8], at side: Int, isTrusted: Bool) {
        guard let (ip, tcp, _) = Self.parse(packet), tcp.flags.contains(.ack), !tcp.flags.contains(.rst) else { return }
        let isIntact =
            isTrusted
            || Checksum.isValid(
                segment: packet.span.bytes.extracting(ip.upperLayer), source: ip.source, destination: ip.destination,
                protocol: IPProtocol.tcp)
        guard isIntact else { return }
        let edge = tcp.acknowledgment + Int(tcp.window) << Int(sides[1 - side].windowScale)
        sides[side].edge = sides[side].edge.map { SequenceNumber.later($0, edge) } ?? edge
    }

    /// Never more outstanding than the window, but for one byte of a probe.
    private mutating func check(_ tcp: TCPHeader, payload: Int, from side: Int) {
        guard payload > 0, !tcp.flags.contains(.rst), let edge = sides[side].edge, let before = highest[side] else {
            return
        }
        let end = tcp.sequence + payload
        if end > edge, payload > 1 { note("side \(side) sends \(end - edge) bytes beyond the window") }
        segments[side] += 1
        if tcp.sequence < before { retransmissions[side] += 1 }
        highest[side] = SequenceNumber.later(before, end)
    }

    private mutating func note(_ violation: String) {
        if violations.count < Self.violationLimit { violations.append(violation) }
    }

    // MARK: Packets

    private static func parse(_ packet: [UInt8]) -> (IPHeader, TCPHeader, ArraySlice<UInt8>)? {
        let span = packet.span.bytes
        guard let ip = try? IPHeader.parse(span), ip.protocol == IPProtocol.tcp,
            let tcp = try? TCPHeader.parse(span.extracting(ip.upperLayer))
        else { return nil }
        return (ip, tcp, packet[(ip.headerLength + tcp.headerLength)..<ip.totalLength])
    }

    private func encode(
        to side: Int, sequence: SequenceNumber, acknowledgment: SequenceNumber, flags: TCPFlags, window: UInt16,
        options: TCPOptions, payload: ArraySlice<UInt8>, header: VirtioHeader = .none, trafficClass: UInt8 = 0
    ) -> [UInt8] {
        let (source, destination) = (sides[side].application, sides[side].destination)
        let ipLength = PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4)
        let tcpLength = TCPHeader.minimumLength + options.encodedLength
        let length = tcpLength + payload.count
        return [UInt8](unsafeUninitializedCapacity: ipLength + length) { buffer, count in
            let memory = UnsafeMutableRawPointer(buffer.baseAddress!)
            let segment = memory + ipLength
            PacketWriter.writeIPHeader(
                to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.tcp,
                payloadLength: length, trafficClass: trafficClass)
            PacketWriter.writeTCPHeader(
                to: segment, sourcePort: source.port, destinationPort: destination.port, sequence: sequence,
                acknowledgment: acknowledgment, flags: flags, window: window, options: options)
            payload.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(start: segment + tcpLength, count: bytes.count).copyMemory(from: bytes)
            }
            if header.flags & VirtioHeader.needsChecksum != 0 {
                PacketWriter.setPartialChecksum(
                    at: segment, length: length, protocol: .tcp, source: source.address,
                    destination: destination.address)
            } else {
                PacketWriter.setChecksum(
                    at: segment, length: length, protocol: .tcp, source: source.address,
                    destination: destination.address)
            }
            count = ipLength + length
        }
    }
}
