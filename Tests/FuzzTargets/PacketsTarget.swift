import FlowNAT
import Packets
import Primitives

/// Packets of any kind, each behind a byte of what it is and two of its length; between them time passes.
func fuzzPackets(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    var settings = FlowSettings()
    settings.maximumFlows = 16
    settings.maximumHalfOpen = 8
    settings.offload = input.byte() & 1 == 0
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
            packet.withUnsafeBytes { nat.handle($0, offload: offload, now: now) { _, bytes in bytes.count } }
            settle(&nat, buffer, settings, accepts: kind & 8 == 0, now: now)
            if kind & 0xC0 != 0 {
                now = now + .milliseconds(1 << Int64(kind >> 3))
                nat.handleTimeout(now: now)
                settle(&nat, buffer, settings, accepts: true, now: now)
            }
            require(pool.outstanding <= pool.limit, "the pool is beyond its limit")
            require(nat.flowCount <= settings.maximumFlows, "too many flows")
        }
        nat.abortAll()
        settle(&nat, buffer, settings, accepts: false, now: now)
        require(nat.flowCount == 0, "flows are left")
    }
    require(pool.outstanding == 0, "blocks are left")
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

/// A packet from FlowNAT to the TUN with its checksum finished: whole, not too large, every checksum right.
func checkedPacket(_ buffer: PacketBuffer, _ settings: FlowSettings) -> (bytes: [UInt8], ip: IPHeader) {
    var bytes = buffer.flattened()
    let header = buffer.offload
    if !settings.offload {
        require(header == .none, "a virtio header although the TUN knows none")
        require(bytes.count <= max(settings.mtu, ICMPWriter.maximumErrorV6), "a packet beyond the MTU")
    }
    let isFinished = bytes.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) }
    require(isFinished, "a virtio header that points outside its packet")
    guard let ip = try? IPHeader.parse(bytes.span.bytes), ip.totalLength == bytes.count else {
        fatalError("an IP packet that cannot be read")
    }
    if ip.protocol == IPProtocol.tcp {
        let isValid = Checksum.isValid(
            segment: bytes.span.bytes.extracting(ip.upperLayer), source: ip.source, destination: ip.destination,
            protocol: IPProtocol.tcp)
        require(isValid, "a wrong TCP checksum")
    }
    return (bytes, ip)
}
