import Packets
import Primitives

/// One endpoint of the application's side: what it sends goes to the owner at once, what comes for it waits here.
struct Association: ~Copyable {
    let id: AssociationID
    /// The application's own end.
    let source: Endpoint
    /// Where the table counts the associations of this address.
    let sourceRecord: Int
    /// When the application last sent. What comes from outside does not keep the association alive: RFC 4787, section
    /// 4.3, REQ-6 and its security considerations.
    var lastSent: Instant
    /// It has asked name servers alone so far.
    var isNameLookup: Bool
    /// The association's entry in the table's heap of deadlines.
    var scheduled: Instant?
    /// Largest packet towards the application, bytes.
    var mtu: Int
    var queue: DatagramQueue
    /// The oldest datagram is leaving in fragments.
    var fragmentation: Fragmentation?
    var isReady = false
    /// For the snapshot.
    let created: Instant
    var traffic = Traffic()

    /// What an association has carried.
    struct Traffic: Equatable {
        var datagramsIn: UInt64 = 0
        var bytesIn: UInt64 = 0
        var datagramsOut: UInt64 = 0
        var bytesOut: UInt64 = 0

        /// From the application to the owner.
        @inline(__always)
        mutating func noteIn(_ datagrams: Int, bytes: Int) {
            datagramsIn &+= UInt64(datagrams)
            bytesIn &+= UInt64(bytes)
        }

        /// Into packets for the TUN.
        @inline(__always)
        mutating func noteOut(_ datagrams: Int, bytes: Int) {
            datagramsOut &+= UInt64(datagrams)
            bytesOut &+= UInt64(bytes)
        }
    }

    /// How far a datagram has left.
    struct Fragmentation {
        /// Bytes of UDP header and payload that are out.
        var offset: Int
        let identification: UInt32
        let checksum: UInt16
    }

    init(
        id: AssociationID, source: Endpoint, sourceRecord: Int, isNameLookup: Bool, mtu: Int, pool: BlockPool,
        now: Instant
    ) {
        self.id = id
        self.source = source
        self.sourceRecord = sourceRecord
        self.isNameLookup = isNameLookup
        self.mtu = mtu
        created = now
        lastSent = now
        queue = DatagramQueue(pool: pool)
    }

    /// When it ends, if the application sends no more.
    func deadline(settings: FlowSettings.Reference) -> Instant {
        lastSent + (isNameLookup ? settings.pointee.nameLookupTimeout : settings.pointee.associationTimeout)
    }

    /// Forgets the oldest datagram.
    mutating func dropFirst() {
        queue.dropFirst()
        fragmentation = nil
    }

    // MARK: - Out

    /// Writes the next packet: one datagram, many as a super-packet, or a fragment of one that is too large.
    ///
    /// Nothing may be `show`n any more. False when nothing waits.
    mutating func nextPacket(
        into buffer: PacketBuffer, identification: inout FragmentIdentification, settings: FlowSettings.Reference,
        counters: inout FlowCounters
    ) -> Bool {
        guard let first = queue.first else { return false }
        let isIPv4 = source.address.isIPv4
        buffer.clear()
        let headers = PacketWriter.ipHeaderLength(isIPv4: isIPv4) + UDPHeader.byteCount
        guard headers + first.length <= mtu else {
            writeFragment(of: first, into: buffer, identification: &identification, counters: &counters)
            return true
        }
        var run = (count: 1, bytes: first.length)
        if settings.pointee.offload, settings.pointee.udpOffload {
            run = queue.run(limit: Self.maximumRun, byteLimit: 0xFFFF - headers)
        }
        queue.addRegions(from: 0, count: run.bytes, to: buffer)
        DatagramWriter.write(
            from: first.remote, to: source, payloadCount: run.bytes, segmentSize: first.length,
            offload: settings.pointee.offload, into: buffer)
        queue.show(run.count, bytes: run.bytes)
        traffic.noteOut(run.count, bytes: run.bytes)
        counters.datagramsOut += run.count
        return true
    }

    /// Datagrams in a super-packet: UDP_MAX_SEGMENTS of the kernels that first took them.
    static let maximumRun = 64

    private mutating func writeFragment(
        of first: DatagramRecord, into buffer: PacketBuffer, identification: inout FragmentIdentification,
        counters: inout FlowCounters
    ) {
        var state =
            fragmentation
            ?? Fragmentation(
                offset: 0,
                identification: identification.next(from: first.remote.address, to: source.address),
                checksum: checksum(of: first))
        let total = UDPHeader.byteCount + first.length
        let size = DatagramWriter.fragmentPayload(mtu: mtu, isIPv4: source.address.isIPv4)
        let count = min(size, total - state.offset)
        let header = state.offset == 0 ? UDPHeader.byteCount : 0
        queue.addRegions(
            from: max(0, state.offset - UDPHeader.byteCount), count: count - header, to: buffer)
        DatagramWriter.writeFragment(
            from: first.remote, to: source, datagramLength: total, offset: state.offset, count: count,
            identification: state.identification, checksum: state.checksum, into: buffer)
        counters.fragmentsOut += 1
        state.offset += count
        fragmentation = state
        if state.offset == total {
            fragmentation = nil
            queue.show(1, bytes: first.length)
            traffic.noteOut(1, bytes: first.length)
            counters.datagramsOut += 1
        }
    }

    private func checksum(of datagram: DatagramRecord) -> UInt16 {
        var payload = Checksum.Accumulator()
        queue.forEachRegion(count: datagram.length) { payload.add($0) }
        return DatagramWriter.checksum(from: datagram.remote, to: source, payload: payload)
    }
}
