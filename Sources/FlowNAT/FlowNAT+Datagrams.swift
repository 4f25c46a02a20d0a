import Packets
import Primitives

/// UDP: associations with an application's endpoints, and datagrams both ways.
///
/// The way in: `handle` finds or makes the association of the source endpoint and hands each datagram to the consumer,
/// wherever it goes. The way out: `sendDatagram` queues, `nextPacket` writes. Nothing is kept of the far ends.
extension FlowNAT {
    /// Takes one IP packet from the TUN, as `handle` without `datagrams` does, but carries UDP too.
    ///
    /// - Parameter datagrams: called with each datagram, which lies in `packet`; a super-packet (USO) is cut in place.
    public mutating func handle(
        _ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant, deliver: FlowConsumer,
        datagrams: DatagramConsumer
    ) {
        counters.packetsIn += 1
        handle(packet, offload: offload, now: now, carriesDatagrams: true, deliver: deliver, datagrams: datagrams)
    }

    mutating func handleUDP(
        _ ip: IPHeader, _ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant,
        datagrams: DatagramConsumer
    ) {
        let message = packet.bytes.extracting(ip.upperLayer)
        guard let udp = try? UDPHeader.parse(message), Self.fits(offload, udp) else {
            counters.malformed += 1
            return
        }
        guard offload.checksumIsTrusted || Self.hasValidChecksum(message.extracting(0..<udp.length), udp, ip, offload)
        else {
            counters.badChecksum += 1
            return
        }
        let source = Endpoint(ip.source, udp.sourcePort)
        let destination = Endpoint(ip.destination, udp.destinationPort)
        guard Self.isPossible(FlowAddresses(source: source, destination: destination)) else {
            counters.impossibleAddress += 1
            return
        }
        var evicted: AssociationID?
        let id = associations.use(
            source, to: destination, now: now, settings: rules, counters: &tally.pointee, evicted: &evicted)
        if let evicted { events.append(.associationEnded(evicted)) }
        guard let id else {
            counters.tableFull += 1
            return
        }
        counters.associationPackets += 1
        let start = ip.headerLength + UDPHeader.byteCount
        let payload = UnsafeRawBufferPointer(rebasing: packet[start..<ip.headerLength + udp.length])
        counters.bytesIn += payload.count
        let size = offload.gsoType == .udpL4 ? Int(offload.segmentSize) : payload.count
        let datagramCount = payload.isEmpty ? 1 : (payload.count + size - 1) / size
        associations.find(id)?.pointee.traffic.noteIn(datagramCount, bytes: payload.count)
        var at = 0
        repeat {
            let end = min(at + size, payload.count)
            counters.datagramsIn += 1
            datagrams(id, destination, UnsafeRawBufferPointer(rebasing: payload[at..<end]))
            at = end
        } while at < payload.count
    }

    /// The virtio header speaks of UDP, and of pieces that have a size.
    private static func fits(_ offload: VirtioHeader, _ udp: UDPHeader) -> Bool {
        switch offload.gsoType {
        case .none, .udp: true
        case .udpL4: offload.segmentSize > 0 && udp.length > UDPHeader.byteCount
        case .tcpv4, .tcpv6: false
        }
    }

    private static func hasValidChecksum(
        _ datagram: RawSpan, _ udp: UDPHeader, _ ip: IPHeader, _ offload: VirtioHeader
    ) -> Bool {
        // A super-packet's checksum is the pseudo-header's sum alone; without the flag that says so it means nothing.
        guard offload.gsoType == .none else { return false }
        // Zero is "none" in IPv4 (RFC 768) and forbidden in IPv6 (RFC 8200, section 8.1).
        if udp.checksum == 0 { return ip.isIPv4 }
        return Checksum.isValid(
            segment: datagram, source: ip.source, destination: ip.destination, protocol: IPProtocol.udp)
    }

    // MARK: - Commands

    /// Associations at present.
    public var associationCount: Int { associations.count }

    /// The application's own endpoint; nil when the association is gone.
    public func source(of id: AssociationID) -> Endpoint? { associations.find(id)?.pointee.source }

    /// Queues a datagram for the application.
    ///
    /// Where the association's queue is full its oldest datagram is dropped, as a slow receiver wants the newest.
    ///
    /// - Parameters:
    ///   - remote: whom it comes from, as the application shall see it; of the application's family.
    ///   - payload: copied.
    /// - Returns: false when the association is gone, the datagram cannot be said in one IP packet, or memory is short.
    @discardableResult
    public mutating func sendDatagram(
        _ id: AssociationID, from remote: Endpoint, _ payload: UnsafeRawBufferPointer
    ) -> Bool {
        guard let association = associations.find(id) else { return false }
        let isIPv4 = association.pointee.source.address.isIPv4
        guard remote.address.isIPv4 == isIPv4, payload.count <= Self.maximumDatagram(isIPv4: isIPv4) else {
            counters.datagramsUnsendable += 1
            return false
        }
        return associations.enqueue(payload, from: remote, to: association, settings: rules, counters: &tally.pointee)
    }

    /// The most payload bytes of a datagram: its IPv4 packet, or what follows the IPv6 header, has 65 535 bytes.
    static func maximumDatagram(isIPv4: Bool) -> Int {
        0xFFFF - UDPHeader.byteCount - (isIPv4 ? PacketWriter.ipv4HeaderLength : 0)
    }

    /// Ends an association; what is queued for it is forgotten. No event follows.
    public mutating func closeAssociation(_ id: AssociationID) {
        guard let association = associations.find(id) else { return }
        associations.remove(association)
    }

    /// Tells the application that its datagrams to `destination` come to nothing: an ICMP error within the rate of
    /// errors. `.silence` says nothing. The association stays.
    ///
    /// The datagram itself is not kept; the error quotes its addresses and ports, which is what a kernel looks at.
    public mutating func rejectDatagram(
        _ id: AssociationID, to destination: Endpoint, _ reason: RejectReason, now: Instant
    ) {
        guard let association = associations.find(id),
            destination.address.isIPv4 == association.pointee.source.address.isIPv4
        else { return }
        let code: UnreachableReason
        switch reason {
        case .refused: code = .port
        case .networkUnreachable: code = .network
        case .hostUnreachable: code = .host
        case .prohibited: code = .administrativelyProhibited
        case .silence: return
        }
        counters.datagramsRejected += 1
        guard mayTellUnreachable(now: now) else { return }
        let count = ReplyWriter.unreachableDatagram(
            code, source: association.pointee.source, destination: destination, into: scratch)
        queueReply(count)
    }

    // MARK: - Out, and time

    /// The next packet of UDP; false when there is none.
    mutating func nextDatagramPacket(into buffer: PacketBuffer) -> Bool {
        guard associations.nextPacket(into: buffer, settings: rules, counters: &tally.pointee) else { return false }
        counters.packetsOut += 1
        counters.bytesOut += buffer.count - buffer.headCount
        if buffer.offload.gsoType != .none { counters.superPacketsOut += 1 }
        return true
    }

    /// Ends idle associations, and datagrams whose fragments did not all come.
    mutating func handleDatagramTimeouts(now: Instant) {
        while let id = associations.expire(now: now, settings: rules) {
            counters.associationsExpired += 1
            events.append(.associationEnded(id))
        }
        while let first = reassembly.expire(now: now, counters: &tally.pointee) {
            guard let first, let ip = try? IPHeader.parse(first.bytes), mayTellUnreachable(now: now) else { continue }
            queueReply(
                ICMPWriter.reassemblyTimeExceeded(quoting: first.bytes, from: ip.destination, into: scratch))
        }
    }
}
