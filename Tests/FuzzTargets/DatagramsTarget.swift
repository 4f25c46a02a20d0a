import FlowNAT
import Packets
import Primitives

/// Each byte chooses a call, the next ones its arguments. A model says what must come of it: which association lives, who
/// makes room, and which datagram leaves next.
func fuzzDatagrams(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let choice = input.byte()
    // A small pool runs dry with two large datagrams.
    let pool = BlockPool(byteLimit: choice & 8 == 0 ? 2 << 20 : 128 << 10, retainedBytes: 0)
    do {
        var world = DatagramWorld(input, choice: choice, pool: pool)
        while world.step() {}
        world.end()
    }
    require(pool.outstanding == 0, "blocks are left")
}

/// Six applications of three hosts, a `FlowNAT`, its owner.
private struct DatagramWorld: ~Copyable {
    private static let applications = [
        "10.0.0.1:4000", "10.0.0.1:4001", "10.0.0.1:4002", "10.0.0.2:4000", "[fd00::1]:4000", "[fd00::1]:4001",
    ].map { Endpoint($0)! }
    private static let remotes = [
        ["192.0.2.1:53", "192.0.2.1:443", "192.0.2.2:443"],
        ["[2001:db8::1]:53", "[2001:db8::1]:443", "[2001:db8::2]:443"],
    ].map { $0.map { Endpoint($0)! } }

    private var input: FuzzInput
    private let settings: FlowSettings
    private var nat: FlowNAT
    private let pool: BlockPool
    private let buffer = PacketBuffer()
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var model: AssociationModel
    /// An association that is gone: nothing may come of its name.
    private var stale: AssociationID?
    private var serial = 0

    init(_ input: FuzzInput, choice: UInt8, pool: BlockPool) {
        self.input = input
        self.pool = pool
        var settings = FlowSettings()
        settings.offload = choice & 1 == 0
        settings.udpOffload = choice & 2 == 0
        settings.mtu = choice & 4 == 0 ? 1_500 : 9_000
        settings.maximumAssociations = 4
        settings.maximumAssociationsPerSource = 2
        settings.maximumQueuedDatagrams = 8
        settings.maximumQueuedDatagramBytes = choice & 16 == 0 ? 100_000 : 4_000
        settings.maximumDatagramMemory = 4 * 65_536 + 50_000
        settings.maximumReplyBytes = 4 << 10
        self.settings = settings
        model = AssociationModel(applications: Self.applications, settings: settings)
        var random = FixedNumbers()
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
    }

    /// One call; false when the input is used up.
    mutating func step() -> Bool {
        guard !input.isAtEnd else { return false }
        let choice = input.byte()
        let which = Int(choice & 7) % Self.applications.count
        switch choice >> 3 & 15 {
        case 0, 1: receive(which, count: Int(input.byte()))
        case 2: receive(which, count: Int(input.word()))
        case 3: receiveSuperPacket(which)
        case 4, 5: send(which, count: Int(input.byte()))
        case 6: send(which, count: Int(input.word()))
        case 7: sendMany(which)
        case 8: reject(which)
        case 9: close(which)
        case 10: receiveError(which)
        case 11: pass(.milliseconds(Int64(input.byte()) * 1_000))
        case 12: passToDeadline()
        case 13: takePackets(limit: 1)
        case 14: takePackets(limit: Int(input.byte()) + 1)
        default: useStale(which)
        }
        requireLimits(nat, settings, pool)
        require(nat.associationCount == model.count, "associations are miscounted")
        require(pool.outstanding * BlockPool.capacity <= nat.gauges.datagramBytes, "more memory than is told")
        return true
    }

    mutating func end() {
        takePackets(limit: 10_000)
        require(model.isDrained, "datagrams are left")
        for which in Self.applications.indices { close(which) }
        require(nat.associationCount == 0, "associations are left")
        require(nat.nextDeadline == nil, "a timer is left")
        takePackets(limit: 10_000)
        require(nat.gauges.datagramBytes == 0, "memory of datagrams is left")
    }

    private func remote(of which: Int, _ choice: UInt8) -> Endpoint {
        let family = Self.remotes[Self.applications[which].address.isIPv4 ? 0 : 1]
        return family[Int(choice) % family.count]
    }

    // MARK: From the applications

    private mutating func receive(_ which: Int, count: Int) {
        let choice = input.byte()
        let (source, destination) = (Self.applications[which], remote(of: which, choice))
        let payload = pattern(min(count, source.address.isIPv4 ? 65_507 : 65_527))
        let checksum: Made.UDPChecksum =
            switch choice >> 4 & 3 {
            case 0, 1: .right
            case 2: .wrong
            default: .none
            }
        let isTrusted = choice & 8 != 0
        let packet = Made.datagram(from: source, to: destination, payload, checksum: checksum)
        // Zero is "none" in IPv4, and forbidden in IPv6.
        let isTaken = isTrusted || checksum == .right || checksum == .none && source.address.isIPv4
        // Trusted with a wrong checksum: the source's port is the one that is written there.
        guard !(isTrusted && checksum == .wrong) else { return }
        deliver(
            packet, VirtioHeader(flags: isTrusted ? VirtioHeader.dataValid : 0), which, destination,
            isTaken ? [payload] : [])
    }

    /// Many datagrams in one packet (USO).
    private mutating func receiveSuperPacket(_ which: Int) {
        let choice = input.byte()
        let (source, destination) = (Self.applications[which], remote(of: which, choice))
        let size = Int(input.byte()) * (choice & 0x40 == 0 ? 1 : 16)
        let payload = pattern(min(Int(input.byte()) * max(1, size / 2), 65_000))
        let packet = Made.datagram(from: source, to: destination, payload, checksum: .partial)
        let isMarked = choice & 0x80 == 0
        let header = VirtioHeader(
            flags: isMarked ? VirtioHeader.needsChecksum : 0, gsoType: .udpL4, segmentSize: UInt16(size),
            checksumStart: UInt16(PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4)), checksumOffset: 6)
        let isTaken = isMarked && size > 0 && !payload.isEmpty
        let pieces = stride(from: 0, to: isTaken ? payload.count : 0, by: max(1, size)).map {
            Array(payload[$0..<min($0 + size, payload.count)])
        }
        deliver(packet, header, which, destination, pieces)
    }

    private mutating func deliver(
        _ packet: [UInt8], _ offload: VirtioHeader, _ which: Int, _ destination: Endpoint, _ expected: [[UInt8]]
    ) {
        var (count, name) = (0, AssociationID?.none)
        packet.withUnsafeBytes { bytes in
            nat.handle(bytes, offload: offload, now: now) { _, _ in
                fatalError("text of no flow")
            } datagrams: { id, to, payload in
                require(name == nil || name == id, "one packet, two associations")
                require(to == destination, "a datagram goes astray")
                require(count < expected.count, "a datagram that nobody sent")
                require(payload.elementsEqual(expected[count]), "a datagram changed on its way in")
                name = id
                count += 1
            }
        }
        require(count == expected.count, "a datagram is lost on its way in")
        if let name {
            let room = model.victim(for: which)
            takeEvents(ended: room.map { [$0] } ?? [])
            model.use(which, name, to: destination, now: now)
            require(nat.source(of: name) == Self.applications[which], "an association of another endpoint")
        }
        takeEvents(ended: [])
    }

    private mutating func receiveError(_ which: Int) {
        let choice = input.byte()
        let rest = Int(input.word())
        let (source, destination) = (Self.applications[which], remote(of: which, choice >> 4))
        let isIPv4 = source.address.isIPv4
        let kind: (type: UInt8, code: UInt8)
        switch choice & 3 {
        case 0, 1: kind = isIPv4 ? (3, 4) : (2, 0)
        case 2: kind = isIPv4 ? (3, 3) : (1, 4)
        default: kind = (choice >> 2 & 15, choice >> 6)
        }
        let quoted = Made.datagram(from: destination, to: source, [])
        let packet = Made.icmpError(
            type: kind.type, code: kind.code, rest: UInt32(rest), quoting: quoted, from: source.address,
            to: destination.address)
        let before = nat.counters
        packet.withUnsafeBytes { bytes in
            nat.handle(bytes, offload: .none, now: now) { _, _ in
                0
            } datagrams: { _, _, _ in
                fatalError("a datagram")
            }
        }
        if nat.counters.pathMTULowered > before.pathMTULowered {
            require(model.id(which) != nil, "an error about nobody was believed")
            model.lowerMTU(which, to: rest == 0 ? nil : max(rest, isIPv4 ? 552 : 1_280))
        }
        let isRefused = nat.counters.icmpUnreachables > before.icmpUnreachables
        if isRefused {
            guard case .datagramRefused(let id, let remote) = nat.nextEvent(), id == model.id(which),
                remote == destination
            else { fatalError("the owner is not told who refuses") }
        }
        takeEvents(ended: [])
    }

    // MARK: The owner

    private func pattern(_ count: Int) -> [UInt8] { Self.pattern(serial, count) }

    private static func pattern(_ serial: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: serial &* 37 &+ $0 &* 31 &+ $0 >> 8) }
    }

    private mutating func send(_ which: Int, count: Int) {
        guard let id = model.id(which) else { return }
        let choice = input.byte()
        serial += 1
        let from = choice & 0x80 == 0 ? remote(of: which, choice) : Self.remotes[Int(choice & 1)][0]
        let isIPv4 = Self.applications[which].address.isIPv4
        let payload = pattern(count)
        let dropped = nat.counters.datagramsDropped
        let isQueued = payload.withUnsafeBytes { nat.sendDatagram(id, from: from, $0) }
        model.drop(which, nat.counters.datagramsDropped - dropped)
        guard isQueued else { return }
        require(from.address.isIPv4 == isIPv4, "a datagram of the other family")
        require(count <= (isIPv4 ? 65_507 : 65_527), "a datagram that IP cannot express")
        model.queue(which, (from, payload))
    }

    /// Several of one size, which make a super-packet.
    private mutating func sendMany(_ which: Int) {
        let count = Int(input.byte()) * 8
        for _ in 0..<Int(input.byte() & 15) { send(which, count: count) }
    }

    private mutating func reject(_ which: Int) {
        guard let id = model.id(which) else { return }
        let choice = input.byte()
        let reasons: [RejectReason] = [.refused, .networkUnreachable, .hostUnreachable, .prohibited, .silence]
        nat.rejectDatagram(id, to: remote(of: which, choice), reasons[Int(choice >> 4) % reasons.count], now: now)
    }

    private mutating func close(_ which: Int) {
        guard let id = model.id(which) else { return }
        nat.closeAssociation(id)
        stale = id
        model.end(id)
    }

    /// What is said to an association that is gone reaches nobody.
    private mutating func useStale(_ which: Int) {
        guard let stale else { return }
        require(nat.source(of: stale) == nil, "an association lives on")
        require(
            ![UInt8](repeating: 0, count: 8).withUnsafeBytes {
                nat.sendDatagram(stale, from: remote(of: which, 0), $0)
            }, "a datagram to nobody")
        nat.rejectDatagram(stale, to: remote(of: which, 0), .refused, now: now)
        nat.closeAssociation(stale)
    }

    private mutating func pass(_ interval: Interval) {
        now = now + interval
        nat.handleTimeout(now: now)
        takeEvents(ended: model.due(now))
        if let next = nat.nextDeadline { require(next > now, "a timer that is due did not fire") }
    }

    private mutating func passToDeadline() {
        guard let deadline = nat.nextDeadline else { return }
        // The heap may hold an older, earlier entry; a later one would be a missed end.
        if let due = model.nextDeadline { require(deadline <= due, "an association ends too late") }
        pass(deadline > now ? deadline - now : .zero)
    }

    /// - Parameter ended: the associations that must have ended, in any order.
    private mutating func takeEvents(ended: [AssociationID]) {
        var left = Set(ended)
        while let event = nat.nextEvent() {
            guard case .associationEnded(let id) = event else { fatalError("an event that nothing explains") }
            require(left.remove(id) != nil, "an association ended that should not")
            model.end(id)
            stale = id
        }
        require(left.isEmpty, "an association did not end")
    }

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
        let header = buffer.offload
        let (bytes, ip) = checkedPacket(buffer, settings)
        guard let host = Self.applications.first(where: { $0.address == ip.destination }) else {
            fatalError("a packet to nobody")
        }
        guard ip.protocol == IPProtocol.udp else {
            require(ip.protocol == IPProtocol.icmp || ip.protocol == IPProtocol.icmpv6, "a protocol of nobody")
            let quoted = bytes.span.bytes.extracting(ip.headerLength + ICMPHeader.byteCount..<bytes.count)
            guard let original = try? IPHeader.parseQuoted(quoted) else { fatalError("an error about nothing") }
            return require(original.source == host.address, "an error about a packet of another")
        }
        guard ip.isFragment else {
            return leave(ip.source, ip.destination, Array(bytes[ip.headerLength...]), header)
        }
        if let whole = model.join(ip, Array(bytes[ip.headerLength...])) {
            let isValid = Checksum.isValid(
                segment: whole.span.bytes, source: ip.source, destination: ip.destination, protocol: IPProtocol.udp)
            require(isValid, "a wrong checksum of a datagram in fragments")
            leave(ip.source, ip.destination, whole, header, isFragmented: true)
        }
        require(ip.totalLength <= model.largestMTU(of: ip.destination), "a fragment larger than a router said")
    }

    /// One datagram or many have reached their application.
    private mutating func leave(
        _ from: IPAddress, _ to: IPAddress, _ message: [UInt8], _ offload: VirtioHeader, isFragmented: Bool = false
    ) {
        guard let udp = try? UDPHeader.parse(message.span.bytes), udp.length == message.count,
            let which = Self.applications.firstIndex(of: Endpoint(to, udp.destinationPort))
        else { fatalError("a datagram that cannot be read") }
        let size = offload.gsoType == .udpL4 ? Int(offload.segmentSize) : message.count
        let largest = PacketWriter.ipHeaderLength(isIPv4: to.isIPv4) + UDPHeader.byteCount + min(size, udp.length - 8)
        require(isFragmented || largest <= model.mtu(which), "a datagram larger than a router said")
        var at = UDPHeader.byteCount
        repeat {
            let end = min(at + size, message.count)
            require(
                model.leave(which, Endpoint(from, udp.sourcePort), message[at..<end]),
                "a datagram left that was not the next one")
            at = end
        } while at < message.count
    }
}
