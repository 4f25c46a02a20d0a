import Packets
import Primitives

/// One application's end of a flow: numbers, and the headers of its next segment.
struct Application {
    /// SND.NXT and RCV.NXT.
    var sequence: UInt32
    var acknowledgment: UInt32
    /// The last timestamp of the other end: what is echoed.
    var echo: UInt32 = 0
    /// Bytes that arrived since the last ACK.
    var unacknowledged = 0
    var hasTimestamps = false
}

/// The kernel of the applications: it writes their packets and reads the answers. It does what was negotiated, and no
/// more work than that, since its time is part of what is measured.
struct ApplicationSide: ~Copyable {
    let isIPv4: Bool
    let count: Int
    /// Window field of every segment after the SYN; the scale is in the SYN.
    static let window: UInt16 = 0xFFFF
    static let windowScale: UInt8 = 7

    let flows: UnsafeMutablePointer<Application>
    /// Headers of each application, `PacketTemplate.stride` bytes each.
    private let templates: UnsafeMutableRawPointer
    /// Where packets are written: the headers end at `payloadOffset`, where the payload begins, so that it never moves.
    private let memory: UnsafeMutableRawPointer
    private static let payloadOffset = 128
    private static let memorySize = 128 + 65_536
    /// The sum of the first bytes of the payload, for the checksum of segments of `summedBytes`.
    private var payloadSum: UInt64 = 0
    private var summedBytes = -1

    init(count: Int, isIPv4: Bool) {
        self.count = count
        self.isIPv4 = isIPv4
        flows = .allocate(capacity: count)
        flows.initialize(repeating: Application(sequence: 0, acknowledgment: 0), count: count)
        templates = .allocate(byteCount: count * PacketTemplate.stride, alignment: 64)
        templates.initializeMemory(as: UInt8.self, repeating: 0, count: count * PacketTemplate.stride)
        memory = .allocate(byteCount: Self.memorySize, alignment: 64)
        for at in 0..<Self.memorySize {
            memory.storeBytes(of: UInt8(truncatingIfNeeded: at &* 31), toByteOffset: at, as: UInt8.self)
        }
    }

    deinit {
        flows.deallocate()
        templates.deallocate()
        memory.deallocate()
    }

    /// The payload that all segments share.
    var payload: UnsafeRawPointer { UnsafeRawPointer(memory + Self.payloadOffset) }

    // MARK: Handshake

    /// The SYN as Linux makes it: MSS, SACK permitted, timestamps, window scale.
    mutating func syn(_ index: Int, timestamps: Bool, clock: UInt32) -> UnsafeRawBufferPointer {
        flows[index] = Application(
            sequence: 1_000_000 &* UInt32(truncatingIfNeeded: index) &+ 12_345, acknowledgment: 0)
        let options = TCPOptions(
            maximumSegmentSize: isIPv4 ? 1_460 : 1_440, windowScale: Self.windowScale, sackPermitted: true,
            timestamps: timestamps ? (clock, 0) : nil)
        let length = write(index, flags: .syn, options: options, to: memory)
        flows[index].sequence &+= 1
        return UnsafeRawBufferPointer(start: memory, count: length)
    }

    /// Reads the SYN-ACK and makes the headers of all later segments.
    mutating func accept(_ index: Int, synAck: UnsafeRawBufferPointer, clock: UInt32) {
        guard let ip = try? IPHeader.parse(synAck.bytes),
            let tcp = try? TCPHeader.parse(synAck.bytes.extracting(ip.upperLayer)), tcp.flags.contains([.syn, .ack])
        else { fatalError("no SYN-ACK") }
        flows[index].acknowledgment = tcp.sequence.rawValue &+ 1
        flows[index].hasTimestamps = tcp.options.timestamps != nil
        flows[index].echo = tcp.options.timestamps?.value ?? 0
        let options = TCPOptions(timestamps: tcp.options.timestamps != nil ? (0, 0) : nil)
        let template = templates + index * PacketTemplate.stride
        _ = write(index, flags: .ack, options: options, to: template)
    }

    private func write(_ index: Int, flags: TCPFlags, options: TCPOptions, to memory: UnsafeMutableRawPointer) -> Int {
        let source = PacketTemplate.source(index, isIPv4: isIPv4)
        let destination = isIPv4 ? PacketTemplate.destination : PacketTemplate.destination6
        let offset = PacketWriter.ipHeaderLength(isIPv4: isIPv4)
        let length = PacketWriter.writeTCPHeader(
            to: memory + offset, sourcePort: source.port, destinationPort: destination.port,
            sequence: SequenceNumber(flows[index].sequence), acknowledgment: SequenceNumber(0), flags: flags,
            window: Self.window, options: options)
        PacketWriter.writeIPHeader(
            to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.tcp,
            payloadLength: length)
        return offset + length
    }

    // MARK: Segments

    /// The next segment of an application: `bytes` of payload behind its headers.
    /// - Parameter checksum: whether the checksum is computed; else the virtio header vouches for it.
    @inline(__always)
    mutating func segment(
        _ index: Int, bytes: Int, flags: TCPFlags = .ack, clock: UInt32, checksum: Bool = false
    ) -> UnsafeRawBufferPointer {
        let flow = flows + index
        let layout = HeaderLayout(isIPv4: isIPv4, hasTimestamps: flow.pointee.hasTimestamps)
        let packet = memory + (Self.payloadOffset - layout.total)
        packet.copyMemory(from: templates + index * PacketTemplate.stride, byteCount: layout.total)
        if isIPv4 {
            packet.storeBigEndian(UInt16(truncatingIfNeeded: layout.total + bytes), at: 2)
            PacketWriter.setIPv4HeaderChecksum(at: packet, headerLength: 20)
        } else {
            packet.storeBigEndian(UInt16(truncatingIfNeeded: layout.tcp + bytes), at: 4)
        }
        let tcp = packet + layout.ip
        tcp.storeBigEndian(flow.pointee.sequence, at: 4)
        tcp.storeBigEndian(flow.pointee.acknowledgment, at: 8)
        tcp.storeBytes(of: flags.rawValue, toByteOffset: 13, as: UInt8.self)
        if layout.hasTimestamps {
            tcp.storeBigEndian(clock, at: 24)
            tcp.storeBigEndian(flow.pointee.echo, at: 28)
        }
        if checksum { setChecksum(index, tcp, layout, bytes) }
        flow.pointee.sequence &+= UInt32(truncatingIfNeeded: bytes + (flags.contains(.fin) ? 1 : 0))
        flow.pointee.unacknowledged = 0
        return UnsafeRawBufferPointer(start: packet, count: layout.total + bytes)
    }

    /// The payload's sum is remembered, since it is FlowNAT's summing that is to be measured.
    private mutating func setChecksum(
        _ index: Int, _ tcp: UnsafeMutableRawPointer, _ layout: HeaderLayout, _ bytes: Int
    ) {
        if summedBytes != bytes {
            summedBytes = bytes
            payloadSum = Checksum.sum(UnsafeRawBufferPointer(start: memory + Self.payloadOffset, count: bytes))
        }
        let pseudo = Checksum.pseudoHeader(
            source: PacketTemplate.source(index, isIPv4: isIPv4).address,
            destination: (isIPv4 ? PacketTemplate.destination : PacketTemplate.destination6).address,
            protocol: IPProtocol.tcp, length: layout.tcp + bytes)
        tcp.storeBigEndian(UInt16(0), at: 16)
        let header = Checksum.sum(UnsafeRawBufferPointer(start: tcp, count: layout.tcp), initial: pseudo)
        tcp.storeBigEndian(Checksum.finish(Checksum.add(header, payloadSum)), at: 16)
    }

    /// Takes what FlowNAT sent to an application.
    /// - Returns: the application, and the bytes of payload.
    @inline(__always) @discardableResult
    mutating func receive(_ head: UnsafeRawBufferPointer, count: Int) -> (index: Int, bytes: Int) {
        let packet = head.baseAddress!
        let index = PacketTemplate.index(packet, isIPv4: isIPv4)
        let flow = flows + index
        let tcp = packet + (isIPv4 ? 20 : 40)
        let word = tcp.loadBigEndian(at: 12, as: UInt16.self)
        let headerLength = Int(word >> 12) * 4
        // The usual order: NOP, NOP, timestamps.
        if flow.pointee.hasTimestamps, headerLength >= 32, tcp.loadBigEndian(at: 20, as: UInt32.self) == 0x0101_080A {
            flow.pointee.echo = tcp.loadBigEndian(at: 24, as: UInt32.self)
        }
        let bytes = count - (isIPv4 ? 20 : 40) - headerLength
        let flags = TCPFlags(rawValue: UInt8(truncatingIfNeeded: word))
        flow.pointee.acknowledgment =
            tcp.loadBigEndian(at: 4, as: UInt32.self)
            &+ UInt32(truncatingIfNeeded: bytes + (flags.contains(.fin) ? 1 : 0))
        flow.pointee.unacknowledged += bytes
        return (index, bytes)
    }
}
