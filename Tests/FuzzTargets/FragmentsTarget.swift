import FlowNAT
import Packets
import Primitives

/// Each byte chooses what becomes of datagrams on their way: whole ones, pieces in any order, pieces that overlap, end
/// twice or lie. Whatever comes out must be byte for byte one that was sent.
func fuzzFragments(_ bytes: UnsafeRawBufferPointer) {
    let pool = BlockPool(byteLimit: 1 << 20, retainedBytes: 0)
    do {
        var world = FragmentWorld(FuzzInput(bytes), pool: pool)
        while world.step() {}
        world.end()
    }
    require(pool.outstanding == 0, "blocks are left")
}

/// Four hosts that send datagrams in fragments to a `FlowNAT`.
private struct FragmentWorld: ~Copyable {
    /// A datagram that somebody sends in pieces.
    private struct Original {
        let source: Endpoint
        let destination: Endpoint
        /// The whole packet: IP header, UDP header, payload.
        let packet: [UInt8]
        let identification: UInt32
        /// Somebody changed a byte of a fragment this often. Twice, and the checksum may be right again.
        var lies = 0
        /// Another datagram has the same identification, so that pieces of both may make a third.
        var isAmbiguous = false

        var headerLength: Int { PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4) }
        /// What is cut: UDP header and payload.
        var message: ArraySlice<UInt8> { packet[headerLength...] }
        var payload: ArraySlice<UInt8> { packet[(headerLength + UDPHeader.byteCount)...] }
    }

    private static let sources = ["10.0.0.1:4000", "10.0.0.2:4000", "[fd00::1]:4000", "[fd00::2]:4000"].map {
        Endpoint($0)!
    }
    private static let destinations = ["192.0.2.1:443", "192.0.2.1:443", "[2001:db8::1]:443", "[2001:db8::1]:443"].map {
        Endpoint($0)!
    }

    private var input: FuzzInput
    private let settings: FlowSettings
    private var nat: FlowNAT
    private let pool: BlockPool
    private let buffer = PacketBuffer()
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    /// All that were ever begun. The last few are worked on.
    private var originals: [Original] = []
    private var delivered: [(source: Endpoint, payload: [UInt8])] = []

    init(_ input: FuzzInput, pool: BlockPool) {
        self.input = input
        self.pool = pool
        var settings = FlowSettings()
        settings.maximumReassemblies = 4
        settings.maximumReassembliesPerSource = 2
        settings.maximumFragments = 16
        settings.maximumAssociations = 8
        settings.maximumReplyBytes = 8 << 10
        self.settings = settings
        var random = FixedNumbers()
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
    }

    /// One call; false when the input is used up.
    mutating func step() -> Bool {
        guard !input.isAtEnd else { return false }
        let choice = input.byte()
        let which = Int(choice & 3)
        switch choice >> 4 {
        case 0, 1: begin(which, sharesNumber: choice & 8 != 0)
        case 2, 3, 4: sendPiece(which)
        case 5: sendRest(which)
        case 6, 7: lie(which)
        case 8, 9, 10: sendAll(which, isLarge: choice & 8 != 0)
        case 11: flood(which, count: Int(input.byte() & 31))
        case 12: choice & 8 == 0 ? survive(which) : overlap(which)
        case 13: pass(.milliseconds(Int64(input.byte()) * 200))
        case 14: passToDeadline()
        default: takePackets()
        }
        requireLimits(nat, settings, pool)
        return true
    }

    mutating func end() {
        pass(settings.reassemblyTimeout)
        require(nat.gauges.reassemblies == 0, "fragments wait beyond their time")
        pass(settings.associationTimeout)
        require(nat.associationCount == 0 && nat.nextDeadline == nil, "something is left")
        takePackets()
    }

    // MARK: Datagrams

    /// One more datagram that is to go in pieces; returns its place.
    @discardableResult
    private mutating func begin(_ which: Int, sharesNumber: Bool = false, isLarge: Bool = false) -> Int {
        let size = isLarge ? Int(input.word()) : Int(input.byte()) * 8 + Int(input.byte() & 7)
        // IPv4 keeps the low half: no number but the shared one, and those of `flood`, comes twice.
        let identification: UInt32 = sharesNumber ? 0x4000 : UInt32(0x1_0000 + originals.count)
        let (source, destination) = (Self.sources[which], Self.destinations[which])
        let serial = originals.count
        let payload = (0..<min(size, 65_000)).map { UInt8(truncatingIfNeeded: serial &* 37 &+ $0 &* 31 &+ $0 >> 8) }
        var original = Original(
            source: source, destination: destination,
            packet: Made.datagram(from: source, to: destination, payload), identification: identification)
        if sharesNumber {
            original.isAmbiguous = true
            for index in originals.indices where originals[index].identification == identification {
                originals[index].isAmbiguous = true
            }
        }
        originals.append(original)
        return originals.count - 1
    }

    /// One of the last four.
    private func place(_ which: Int) -> Int? {
        let place = originals.count - 1 - which
        return place >= 0 ? place : nil
    }

    // MARK: Honest pieces

    private mutating func sendPiece(_ which: Int) {
        guard let place = place(which) else { return }
        let total = originals[place].message.count
        let start = min(Int(input.byte()) * 8, (total - 1) & ~7)
        send(place, start..<min(total, start + (Int(input.byte()) + 1) * 8))
    }

    private mutating func sendRest(_ which: Int) {
        guard let place = place(which) else { return }
        let total = originals[place].message.count
        let size = (Int(input.byte()) + 1) * 64
        var start = min(Int(input.byte()) * 8, total & ~7)
        while start < total {
            send(place, start..<min(total, start + size))
            start += size
        }
    }

    private mutating func send(_ place: Int, _ range: Range<Int>, options: Int = 0, trafficClass: UInt8 = 0) {
        let original = originals[place]
        let message = original.message
        let piece = Array(message[(message.startIndex + range.lowerBound)..<(message.startIndex + range.upperBound)])
        handle(
            Made.fragment(
                of: original.packet, piece, at: range.lowerBound, hasMore: range.upperBound < message.count,
                identification: original.identification, options: options, trafficClass: trafficClass))
    }

    /// A datagram in pieces that differ in nothing but their order comes out, once, with the last of them.
    private mutating func sendAll(_ which: Int, isLarge: Bool) {
        let choice = input.byte()
        let size = (Int(input.byte()) + 1) * (isLarge ? 128 : 8)
        let place = begin(which, isLarge: isLarge)
        let total = originals[place].message.count
        var starts = Array(stride(from: 0, to: total, by: size))
        shuffle(&starts, by: choice >> 2)
        let before = delivered.count
        for (index, start) in starts.enumerated() {
            // ECT(0) and CE may come mixed: the whole is marked.
            let trafficClass: UInt8 = choice & 2 == 0 ? 0 : index & 1 == 0 ? 2 : 3
            for time in 0...1 where time == 0 || (choice & 0x80 != 0 && index < starts.count - 1) {
                require(delivered.count == before, "a datagram came out before it was whole")
                send(
                    place, start..<min(total, start + size), options: choice & 1 == 0 ? 0 : 8,
                    trafficClass: trafficClass)
            }
        }
        let isAllowed = starts.count <= settings.maximumFragments
        require(delivered.count == before + (isAllowed ? 1 : 0), "a datagram did not come out once")
    }

    private func shuffle(_ starts: inout [Int], by choice: UInt8) {
        if choice & 1 != 0 { starts.reverse() }
        var random = FixedNumbers()
        for _ in 0..<choice >> 1 & 7 { _ = random.next() }
        if choice & 16 != 0 { starts.shuffle(using: &random) }
    }

    /// Two pieces that say the same of the same bytes refuse the whole all the same (RFC 5722, section 3).
    private mutating func overlap(_ which: Int) {
        let place = begin(which)
        let total = originals[place].message.count
        guard total > 24 else { return }
        let (before, counters) = (delivered.count, nat.counters)
        let at = 8 + Int(input.byte()) * 8 % ((total - 1) & ~7)
        send(place, 0..<16)
        send(place, 8..<min(total, max(24, at)))
        send(place, 16..<total)
        require(delivered.count == before, "a datagram of which pieces overlapped came out")
        require(
            nat.counters.overlappingFragments == counters.overlappingFragments + 1
                && nat.counters.refusedFragments == counters.refusedFragments + 1, "pieces that overlap were kept")
    }

    /// A host that floods with first fragments does not cost another its datagram.
    private mutating func survive(_ which: Int) {
        let place = begin(which)
        let total = originals[place].message.count
        guard total > 8 else { return }
        let before = delivered.count
        send(place, 0..<8)
        flood((which + 1) % Self.sources.count, count: Int(input.byte() & 15))
        require(delivered.count == before, "a datagram came out before it was whole")
        send(place, 8..<total)
        require(delivered.count == before + 1, "a flood pushed out another's datagram")
    }

    private mutating func flood(_ which: Int, count: Int) {
        let (source, destination) = (Self.sources[which], Self.destinations[which])
        let packet = Made.datagram(from: source, to: destination, [])
        for number in 0..<count {
            handle(
                Made.fragment(
                    of: packet, Array(packet.suffix(8)), at: 0, hasMore: true,
                    identification: UInt32(0x8000 + number)))
        }
    }

    // MARK: Pieces that lie

    private mutating func lie(_ which: Int) {
        guard let place = place(which) else { return }
        let choice = input.byte()
        let start = choice & 1 == 0 ? Int(input.byte()) * 8 : Int(input.word()) & ~7
        let original = originals[place]
        let message = original.message.dropFirst(start)
        var piece = Array(message.prefix((Int(input.byte()) + 1) * 8))
        // Beyond the end there is no text, so there is something else.
        if piece.isEmpty { piece = [UInt8](repeating: choice, count: 8) }
        var hasMore = start + piece.count < original.message.count
        if choice & 2 != 0 { hasMore.toggle() }
        if choice & 4 != 0 { piece.removeLast() }
        if choice & 8 != 0, !piece.isEmpty {
            piece[Int(choice >> 4) % piece.count] ^= 1
            originals[place].lies += 1
        }
        let options = choice & 16 == 0 ? 0 : original.source.address.isIPv4 ? 40 : 240
        handle(
            Made.fragment(
                of: original.packet, piece, at: start, hasMore: hasMore, identification: original.identification,
                options: options, trafficClass: choice >> 5))
    }

    // MARK: What comes out

    private mutating func handle(_ packet: [UInt8]) {
        var taken: [(AssociationID, Endpoint, [UInt8])] = []
        packet.withUnsafeBytes { bytes in
            nat.handle(bytes, offload: .none, now: now) { _, _ in
                0
            } datagrams: { id, destination, payload in
                taken.append((id, destination, Array(payload)))
            }
        }
        require(taken.count <= 1, "one fragment, two datagrams")
        for (id, destination, payload) in taken {
            guard let source = nat.source(of: id) else { fatalError("a datagram of no association") }
            let isKnown = originals.contains {
                guard $0.source == source, $0.destination == destination else { return false }
                return $0.lies > 1 || $0.isAmbiguous || $0.payload.elementsEqual(payload)
            }
            require(isKnown, "a datagram that nobody sent")
            delivered.append((source, payload))
        }
        while let event = nat.nextEvent() {
            guard case .associationEnded = event else { fatalError("an event that nothing explains") }
        }
    }

    private mutating func pass(_ interval: Interval) {
        now = now + interval
        nat.handleTimeout(now: now)
        if let next = nat.nextDeadline { require(next > now, "a timer that is due did not fire") }
        while nat.nextEvent() != nil {}
    }

    private mutating func passToDeadline() {
        guard let deadline = nat.nextDeadline else { return }
        pass(deadline > now ? deadline - now : .zero)
    }

    /// Only those are told that their fragments came to nothing who sent the first of them.
    private mutating func takePackets() {
        var count = 0
        while nat.nextPacket(into: buffer, now: now) {
            count += 1
            let (bytes, ip) = checkedPacket(buffer, settings)
            require(ip.protocol == (ip.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6), "an answer to nothing")
            require(Self.sources.contains { $0.address == ip.destination }, "a packet to nobody")
            guard let icmp = try? ICMPHeader.parse(bytes.span.bytes.extracting(ip.upperLayer)) else {
                fatalError("an error that cannot be read")
            }
            require(icmp.type == (ip.isIPv4 ? 11 : 3) && icmp.code == 1, "an error that is not about time")
        }
        require(count < 1_000, "packets without end")
    }
}
