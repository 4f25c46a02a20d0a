import FlowNAT
import Packets
import Primitives

/// Each byte chooses a call, the next ones its arguments. Payload is a pattern of its position in its stream, so every
/// byte is checked wherever it turns up.
func fuzzFlows(_ bytes: UnsafeRawBufferPointer) {
    let pool = BlockPool(byteLimit: 2 << 20, retainedBytes: 0)
    do {
        var world = FlowWorld(FuzzInput(bytes), pool: pool)
        while world.step() {}
        world.end()
    }
    require(pool.outstanding == 0, "blocks are left")
}

/// Four applications, a `FlowNAT`, its owner.
private struct FlowWorld: ~Copyable {
    private struct Application {
        /// Where the last SYN began, and what has been sent since: SYN, text, FIN.
        var start: UInt32 = 0
        var next: UInt32 = 0
        /// RCV.NXT, once the SYN-ACK was seen.
        var acknowledgment: UInt32 = 0
        var timestamps = false
        var echo: UInt32 = 0
        /// Of the last SYN: by how much its windows are to be shifted.
        var shift: UInt8 = 0
        /// The largest window that the last packet said.
        var window = 0
    }

    /// What the owner knows of one flow.
    private struct Flow {
        let id: FlowID
        /// Where the application's stream begins.
        let start: UInt32
        /// Our initial sequence number, once it was seen.
        var ours: UInt32?
        var delivered = 0
        var unreleased = 0
        var written = 0
        var drained = 0
        var finished = false
        /// The application has sent a FIN, in order or not.
        var heardFIN = false
        /// The right edge of the window that the application was promised, in bytes of its stream.
        var promised = 0
        /// What our windows are to be shifted by: our SYN-ACK says so.
        var shift: UInt8 = 0
        /// The same for the windows of the application.
        let peerShift: UInt8
        /// The right edge of the largest window that it ever told.
        var offered: Int
        /// What a router said that a packet may have.
        var mtu: Int
    }

    private static let applications = 4
    private var input: FuzzInput
    private let settings: FlowSettings
    private var nat: FlowNAT
    private let pool: BlockPool
    private let buffer = PacketBuffer()
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var sides = Array(repeating: Application(), count: applications)
    private var flows: [Flow?] = Array(repeating: nil, count: applications)
    /// Bytes that the consumer still takes.
    private var appetite = Int.max

    init(_ input: FuzzInput, pool: BlockPool) {
        self.input = input
        self.pool = pool
        let choice = self.input.byte()
        var settings = FlowSettings()
        settings.maximumFlows = 3
        settings.maximumHalfOpen = 2
        settings.offload = choice & 1 == 0
        settings.receiveWindow = choice & 2 == 0 ? 1 << 20 : 4_000
        settings.maximumHeldSegments = 8
        settings.maximumHeldBytes = choice & 4 == 0 ? 64 << 10 : 20_000
        settings.maximumReplyBytes = 8 << 10
        settings.maximumRetransmissions = 3
        self.settings = settings
        var random = FixedNumbers()
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
    }

    /// One call; false when the input is used up.
    mutating func step() -> Bool {
        guard !input.isAtEnd else { return false }
        let choice = input.byte()
        let which = Int(choice & 3)
        switch choice >> 2 & 15 {
        case _ where choice >> 6 == 1: sendError(which)
        case 0: sendSYN(which)
        case 1: sendText(which, count: Int(input.byte()) * 8 + 1, flags: .ack)
        case 2: sendAnything(which)
        case 3: if let flow = flows[which] { nat.accept(flow.id) }
        case 4: reject(which)
        case 5: write(which, Int(input.word() & 0x3FFF))
        case 6: if let flow = flows[which] { nat.finish(flow.id) }
        case 7: abort(which)
        case 8: release(which)
        case 9: pass(.milliseconds(Int64(input.byte()) * Int64(input.byte())))
        case 10: takePackets(limit: Int(input.byte()) + 1)
        case 11: sendText(which, count: 0, flags: [.fin, .ack])
        case 12: sendText(which, count: 0, flags: .ack)
        case 13: appetite = input.byte() == 255 ? .max : Int(input.word())
        case 14: sendText(which, count: 0, flags: [.rst, .ack])
        default: passToDeadline()
        }
        takeEvents()
        requireLimits(nat, settings, pool)
        return true
    }

    mutating func end() {
        takePackets(limit: 10_000)
        takeEvents()
        nat.abortAll()
        takeEvents()
        takePackets(limit: 10_000)
        require(nat.flowCount == 0, "flows are left")
        require(nat.nextDeadline == nil, "a timer is left")
    }

    // MARK: Applications

    /// The last application speaks IPv6.
    private static let sources = (0..<3).map { Endpoint("10.0.0.1:\(40_000 + $0)")! } + [Endpoint("[fd00::1]:40003")!]
    private static let destinations =
        Array(repeating: Endpoint("192.0.2.1:443")!, count: 3) + [Endpoint("[2001:db8::1]:443")!]

    private static func pattern(_ position: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: position &* 31 &+ position >> 8)
    }

    private mutating func sendSYN(_ which: Int) {
        let choice = input.byte()
        let start = UInt32(input.word()) << 16 | 0xFF00
        sides[which] = Application(
            start: start, next: start &+ 1, timestamps: choice & 8 != 0,
            shift: choice & 2 == 0 ? 0 : min(choice >> 4, TCPOptions.maximumWindowScale))
        let options = TCPOptions(
            maximumSegmentSize: choice & 1 == 0 ? nil : UInt16(choice) &* 16,
            windowScale: choice & 2 == 0 ? nil : choice >> 4,
            sackPermitted: choice & 4 != 0, timestamps: choice & 8 == 0 ? nil : (clock, 0))
        let flags: TCPFlags = choice & 0xC0 == 0xC0 ? [.syn, .ece, .cwr] : .syn
        let window = UInt16(choice) << 6 | 0x3F
        send(which, flags, sequence: start, acknowledgment: 0, count: 0, window: window, options: options)
    }

    /// The next thing in order.
    private mutating func sendText(_ which: Int, count: Int, flags: TCPFlags) {
        let sequence = sides[which].next
        sides[which].next &+= UInt32(count) &+ (flags.contains(.fin) ? 1 : 0)
        send(
            which, flags, sequence: sequence, acknowledgment: sides[which].acknowledgment, count: count, window: 0x2000,
            options: standing(which))
    }

    /// Flags, numbers and window as they come.
    private mutating func sendAnything(_ which: Int) {
        let flags = TCPFlags(rawValue: input.byte())
        let ahead = UInt32(bitPattern: Int32(Int16(bitPattern: input.word())))
        let acknowledged = UInt32(bitPattern: Int32(Int16(bitPattern: input.word())))
        let count = Int(input.word() & 0x0FFF)
        let window = input.word()
        var options = standing(which)
        let extra = input.byte()
        if extra & 1 != 0 {
            let base = sides[which].acknowledgment &- UInt32(extra) &* 64
            _ = options.sack.append(
                SACKBlock(start: SequenceNumber(base), end: SequenceNumber(base &+ UInt32(input.byte()) &* 64)))
        }
        if extra & 2 != 0 { options.timestamps = (clock &- UInt32(extra), sides[which].echo) }
        send(
            which, flags, sequence: sides[which].next &+ ahead,
            acknowledgment: sides[which].acknowledgment &+ acknowledged,
            count: count, window: window, options: options)
    }

    private func standing(_ which: Int) -> TCPOptions {
        TCPOptions(timestamps: sides[which].timestamps ? (clock, sides[which].echo) : nil)
    }

    private var clock: UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000) }

    private mutating func send(
        _ which: Int, _ flags: TCPFlags, sequence: UInt32, acknowledgment: UInt32, count: Int, window: UInt16,
        options: TCPOptions
    ) {
        let (source, destination) = (Self.sources[which], Self.destinations[which])
        let isSYN = flags.contains(.syn)
        // A SYN that is not admitted changes nothing for the flow that is there.
        let start = isSYN ? sequence : flows[which]?.start ?? sides[which].start
        let ipLength = PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4)
        let headers = ipLength + TCPHeader.minimumLength + options.encodedLength
        var packet = [UInt8](repeating: 0, count: headers + count)
        let first = Int(Int32(bitPattern: sequence &- start &- 1))
        for offset in 0..<count { packet[headers + offset] = Self.pattern(first + offset) }
        packet.withUnsafeMutableBytes { bytes in
            let memory = bytes.baseAddress!
            PacketWriter.writeTCPHeader(
                to: memory + ipLength, sourcePort: source.port, destinationPort: destination.port,
                sequence: SequenceNumber(sequence), acknowledgment: SequenceNumber(acknowledgment), flags: flags,
                window: window, urgentPointer: flags.contains(.urg) ? window : 0, options: options)
            PacketWriter.writeIPHeader(
                to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.tcp,
                payloadLength: headers - ipLength + count)
        }
        if flags.contains(.fin) { flows[which]?.heardFIN = true }
        sides[which].window = Int(window)
        noteOffer(which, acknowledgment, window)
        deliver(packet, start: start)
    }

    /// The application may be sent this much, if the ACK counts at all.
    private mutating func noteOffer(_ which: Int, _ acknowledgment: UInt32, _ window: UInt16) {
        guard let flow = flows[which], let ours = flow.ours else { return }
        let edge = Int(Int32(bitPattern: acknowledgment &- ours &- 1)) + Int(window) << Int(flow.peerShift)
        flows[which]!.offered = max(flow.offered, edge)
    }

    /// A router, or the application's kernel, says what became of a segment.
    private mutating func sendError(_ which: Int) {
        let choice = input.byte()
        let back = UInt32(input.byte()) * 64
        let rest = input.word()
        let (source, destination) = (Self.sources[which], Self.destinations[which])
        let isIPv4 = source.address.isIPv4
        var segment = [UInt8](repeating: 0, count: TCPHeader.minimumLength)
        segment.withUnsafeMutableBytes { bytes in
            _ = PacketWriter.writeTCPHeader(
                to: bytes.baseAddress!, sourcePort: destination.port, destinationPort: source.port,
                sequence: SequenceNumber(sides[which].acknowledgment &- 1 &- back), acknowledgment: SequenceNumber(0),
                flags: .ack, window: 0)
        }
        let kind: (type: UInt8, code: UInt8)
        switch choice & 3 {
        case 0:
            kind = isIPv4 ? (ICMPHeader.TypeV4.destinationUnreachable, 4) : (ICMPHeader.TypeV6.packetTooBig, 0)
        case 1:
            kind = (
                isIPv4 ? ICMPHeader.TypeV4.destinationUnreachable : ICMPHeader.TypeV6.destinationUnreachable,
                choice >> 2
            )
        case 2: kind = (isIPv4 ? ICMPHeader.TypeV4.timeExceeded : ICMPHeader.TypeV6.timeExceeded, choice >> 2)
        default: kind = (choice >> 2, 0)
        }
        let quoted = Made.packet(
            from: destination.address, to: source.address, IPProtocol.tcp, segment)
        let packet = Made.icmpError(
            type: kind.type, code: kind.code, rest: UInt32(rest), quoting: quoted, from: source.address,
            to: destination.address)
        let before = nat.counters.pathMTULowered
        deliver(packet, start: sides[which].start)
        guard nat.counters.pathMTULowered > before else { return }
        // A router that says nothing is too old to know better: then the size is FlowNAT's to guess.
        if rest > 0 { flows[which]?.mtu = max(Int(rest), isIPv4 ? 552 : 1_280) }
    }

    private mutating func deliver(_ packet: [UInt8], start: UInt32) {
        var appetite = appetite
        var flows = flows
        packet.withUnsafeBytes { bytes in
            nat.handle(bytes, offload: VirtioHeader(flags: VirtioHeader.dataValid), now: now) { id, text in
                guard let which = flows.firstIndex(where: { $0?.id == id }) else { fatalError("bytes of no flow") }
                require(!text.isEmpty, "a delivery of nothing")
                require(!flows[which]!.finished, "bytes after the end")
                require(
                    flows[which]!.delivered + text.count <= flows[which]!.promised, "bytes beyond the promised window")
                let taken = min(text.count, appetite)
                if appetite != .max { appetite -= taken }
                for offset in 0..<taken {
                    require(
                        text[offset] == Self.pattern(flows[which]!.delivered + offset),
                        "bytes are lost, doubled or swapped")
                }
                flows[which]!.delivered += taken
                flows[which]!.unreleased += taken
                return taken
            }
        }
        self.appetite = appetite
        self.flows = flows
        takeEvents(start: start)
    }

    // MARK: The owner

    private mutating func reject(_ which: Int) {
        guard let flow = flows[which] else { return }
        let reasons: [RejectReason] = [.refused, .networkUnreachable, .hostUnreachable, .prohibited, .silence]
        let reason = reasons[Int(input.byte()) % reasons.count]
        let before = nat.flowCount
        nat.reject(flow.id, reason)
        if nat.flowCount < before { flows[which] = nil }
    }

    private mutating func abort(_ which: Int) {
        guard let flow = flows[which] else { return }
        nat.abort(flow.id)
        flows[which] = nil
    }

    private mutating func write(_ which: Int, _ count: Int) {
        guard let flow = flows[which] else { return }
        let bytes = (flow.written..<flow.written + count).map(Self.pattern)
        let taken: Int = nat.withSendQueue(flow.id) { queue in bytes.withUnsafeBytes { queue.append($0) } } ?? 0
        require(taken >= 0 && taken <= count, "a queue took more than it was given")
        flows[which]!.written += taken
    }

    private mutating func release(_ which: Int) {
        guard let flow = flows[which] else { return }
        let count = min(flow.unreleased, Int(input.word()))
        nat.release(flow.id, count)
        flows[which]!.unreleased -= count
    }

    private mutating func pass(_ interval: Interval) {
        now = now + interval
        nat.handleTimeout(now: now)
    }

    private mutating func passToDeadline() {
        guard let deadline = nat.nextDeadline else { return }
        now = max(now, deadline)
        nat.handleTimeout(now: now)
        if let next = nat.nextDeadline { require(next > now, "a timer that is due did not fire") }
    }

    private mutating func takeEvents(start: UInt32 = 0) {
        while let event = nat.nextEvent() {
            if case .connect(let id, let addresses) = event {
                let which = Int(addresses.source.port) - 40_000
                // The window of a SYN is never scaled.
                flows[which] = Flow(
                    id: id, start: start, peerShift: sides[which].start == start ? sides[which].shift : 0,
                    offered: sides[which].window, mtu: settings.mtu)
            } else if case .finished(let id) = event, let which = index(id) {
                require(flows[which]!.heardFIN, "a FIN out of nowhere")
                flows[which]!.finished = true
            } else if case .drained(let id, let count) = event, let which = index(id) {
                flows[which]!.drained += count
                require(flows[which]!.drained <= flows[which]!.written, "more was drained than written")
            } else if case .reset(let id) = event, let which = index(id) {
                flows[which] = nil
            } else if case .closed(let id) = event, let which = index(id) {
                flows[which] = nil
            }
        }
    }

    private func index(_ id: FlowID) -> Int? { flows.firstIndex { $0?.id == id } }

    // MARK: Packets out

    private mutating func takePackets(limit: Int) {
        var count = 0
        while count < limit, nat.nextPacket(into: buffer, now: now) {
            count += 1
            check()
        }
        require(count < 10_000, "packets without end")
    }

    private mutating func check() {
        let (bytes, ip) = checkedPacket(buffer, settings)
        guard ip.protocol == IPProtocol.tcp, let tcp = try? TCPHeader.parse(bytes.span.bytes.extracting(ip.upperLayer))
        else { return }
        let which = Int(tcp.destinationPort) - 40_000
        guard sides.indices.contains(which) else { fatalError("a packet to nobody") }
        let count = ip.upperLayer.count - tcp.headerLength
        guard !tcp.flags.contains(.rst), let flow = flows[which] else { return }
        if tcp.flags.contains(.syn) {
            flows[which]!.ours = tcp.sequence.rawValue
            flows[which]!.shift = tcp.options.windowScale ?? 0
            sides[which].timestamps = tcp.options.timestamps != nil
        }
        guard let ours = flows[which]!.ours else { fatalError("a segment before the SYN-ACK") }
        let position = Int(Int32(bitPattern: tcp.sequence.rawValue &- ours &- 1))
        require(count == 0 || position + count <= flow.written, "bytes that nobody wrote")
        // One byte more asks whether a shut window is still shut.
        require(count == 0 || position + count <= flow.offered + 1, "bytes beyond the application's window")
        if count > 0 {
            let header = buffer.offload
            let largest = header.gsoType == .none ? bytes.count : Int(header.headerLength) + Int(header.segmentSize)
            require(largest <= flow.mtu, "a segment larger than a router said")
        }
        for offset in 0..<count {
            require(
                bytes[ip.headerLength + tcp.headerLength + offset] == Self.pattern(position + offset),
                "bytes out are not what was written")
        }
        checkAcknowledgment(which, tcp)
        let end = tcp.sequence.rawValue &+ UInt32(count + (tcp.flags.isDisjoint(with: [.syn, .fin]) ? 0 : 1))
        if Int32(bitPattern: end &- sides[which].acknowledgment) > 0 || tcp.flags.contains(.syn) {
            sides[which].acknowledgment = end
        }
        sides[which].echo = tcp.options.timestamps?.value ?? 0
    }

    /// What a segment says of the application's own stream: how far it was delivered, and how much more may come.
    private mutating func checkAcknowledgment(_ which: Int, _ tcp: TCPHeader) {
        guard let flow = flows[which] else { return }
        let acknowledged = Int(Int32(bitPattern: tcp.acknowledgment.rawValue &- flow.start &- 1))
        require(
            acknowledged == flow.delivered + (flow.finished ? 1 : 0), "an ACK does not say what was delivered")
        // The window of a SYN is never scaled, so one that is repeated may have to say less than an ACK did.
        let isSYN = tcp.flags.contains(.syn)
        let edge = acknowledged + Int(tcp.window) << (isSYN ? 0 : Int(flow.shift))
        // RFC 7323, section 2.4: less than the shift can express is no promise that was broken.
        require(isSYN || edge > flow.promised - 1 << Int(flow.shift), "the window's edge moves left")
        flows[which]!.promised = max(flow.promised, edge)
        require(
            flows[which]!.promised - acknowledged + flow.unreleased < settings.receiveWindow + 1 << Int(flow.shift),
            "a window for which there is no room")
        for index in tcp.options.sack.indices {
            let end = Int(Int32(bitPattern: tcp.options.sack[index].end.rawValue &- flow.start &- 1))
            require(end <= flows[which]!.promised, "text beyond the promised window was kept")
        }
    }
}
