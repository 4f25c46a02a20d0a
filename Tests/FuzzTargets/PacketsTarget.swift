import FlowNAT
import Packets
import Primitives

/// Packets of any kind, each behind a byte of what it is and two of its length; between them time passes. Datagrams are
/// answered with their own payload.
func fuzzPackets(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    var settings = FlowSettings()
    settings.maximumFlows = 16
    settings.maximumHalfOpen = 8
    settings.maximumAssociations = 4
    settings.maximumReassemblies = 4
    settings.maximumDatagramMemory = 256 << 10
    let choice = input.byte()
    settings.offload = choice & 1 == 0
    settings.udpOffload = choice & 2 == 0
    let carriesDatagrams = choice & 4 == 0
    let pool = BlockPool(byteLimit: 4 << 20, retainedBytes: 0)
    do {
        var random = FixedNumbers()
        var nat = FlowNAT(settings: settings, pool: pool, random: &random)
        var now = Instant(nanoseconds: 1_000_000_000_000)
        let buffer = PacketBuffer()
        while !input.isAtEnd {
            let kind = input.byte()
            var packet = Array(input.slice(Int(input.word() & 0x0FFF)))
            if kind & 1 == 0 { mendIPv4Header(&packet) }
            let offload = VirtioHeader(
                flags: kind & 2 == 0 ? VirtioHeader.dataValid : 0, gsoType: kind & 4 == 0 ? .none : .udpL4,
                segmentSize: UInt16(kind) &* 8)
            handle(packet, offload, carriesDatagrams: carriesDatagrams, &nat, now: now)
            settle(&nat, buffer, settings, accepts: kind & 8 == 0, now: now)
            if kind & 0xC0 != 0 {
                now = now + .milliseconds(1 << Int64(kind >> 3))
                nat.handleTimeout(now: now)
                settle(&nat, buffer, settings, accepts: true, now: now)
            }
            requireLimits(nat, settings, pool)
        }
        nat.abortAll()
        settle(&nat, buffer, settings, accepts: false, now: now)
        require(nat.flowCount == 0, "flows are left")
    }
    require(pool.outstanding == 0, "blocks are left")
}

private func handle(
    _ packet: [UInt8], _ offload: VirtioHeader, carriesDatagrams: Bool, _ nat: inout FlowNAT, now: Instant
) {
    var datagrams: [(id: AssociationID, destination: Endpoint, payload: [UInt8])] = []
    packet.withUnsafeBytes { bytes in
        guard carriesDatagrams else {
            return nat.handle(bytes, offload: offload, now: now) { _, text in text.count }
        }
        nat.handle(bytes, offload: offload, now: now) { _, text in
            text.count
        } datagrams: { id, destination, payload in
            datagrams.append((id, destination, Array(payload)))
        }
    }
    for datagram in datagrams {
        datagram.payload.withUnsafeBytes { _ = nat.sendDatagram(datagram.id, from: datagram.destination, $0) }
    }
}

private func settle(
    _ nat: inout FlowNAT, _ buffer: PacketBuffer, _ settings: FlowSettings, accepts: Bool, now: Instant
) {
    while let event = nat.nextEvent() {
        if case .connect(let id, _) = event {
            if accepts { nat.accept(id) } else { nat.reject(id, .refused) }
        }
    }
    var count = 0
    while nat.nextPacket(into: buffer, now: now) {
        count += 1
        require(count < 10_000, "packets without end")
        _ = checkedPacket(buffer, settings)
    }
}
