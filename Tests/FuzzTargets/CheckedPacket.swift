import FlowNAT
import Packets
import Primitives

/// A packet from FlowNAT to the TUN with its checksum finished: whole, not too large, every checksum right.
func checkedPacket(_ buffer: PacketBuffer, _ settings: FlowSettings) -> (bytes: [UInt8], ip: IPHeader) {
    var bytes = buffer.flattened()
    let header = buffer.offload
    if !settings.offload { require(header == .none, "a virtio header although the TUN knows none") }
    if header.gsoType == .udpL4 { require(settings.udpOffload, "USO although the TUN knows none") }
    let largest = header.gsoType == .none ? bytes.count : Int(header.headerLength) + Int(header.segmentSize)
    require(largest <= max(settings.mtu, ICMPWriter.maximumErrorV6), "a packet beyond the MTU")
    let isFinished = bytes.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) }
    require(isFinished, "a virtio header that points outside its packet")
    guard let ip = try? IPHeader.parse(bytes.span.bytes), ip.totalLength == bytes.count else {
        fatalError("an IP packet that cannot be read")
    }
    if !ip.isFragment { require(hasRightChecksum(ip, bytes), "a wrong checksum") }
    return (bytes, ip)
}

private func hasRightChecksum(_ ip: IPHeader, _ bytes: [UInt8]) -> Bool {
    let message = bytes.span.bytes.extracting(ip.upperLayer)
    if ip.protocol == IPProtocol.icmp { return Checksum.fold(Checksum.sum(message)) == 0xFFFF }
    return Checksum.isValid(segment: message, source: ip.source, destination: ip.destination, protocol: ip.protocol)
}

/// What every call leaves as it must be.
func requireLimits(_ nat: borrowing FlowNAT, _ settings: FlowSettings, _ pool: BlockPool) {
    require(pool.outstanding <= pool.limit, "the pool is beyond its limit")
    let gauges = nat.gauges
    require(nat.flowCount <= settings.maximumFlows, "too many flows")
    require(nat.activeFlowCount >= 0 && nat.activeFlowCount <= nat.flowCount, "flows are miscounted")
    require(gauges.halfOpen <= settings.maximumHalfOpen, "too many half-open flows")
    require(gauges.halfOpen + gauges.active + gauges.timeWait == gauges.flows, "flows are in no list or in two")
    require(gauges.heldBytes <= settings.maximumHeldBytes, "too much is held")
    require(gauges.replyBytes <= settings.maximumReplyBytes, "too many answers wait")
    require(gauges.associations <= settings.maximumAssociations, "too many associations")
    require(gauges.datagramBytes <= settings.maximumDatagramMemory, "too many datagrams wait")
    require(gauges.reassemblies <= settings.maximumReassemblies, "too many datagrams are put together")
    // IP's largest payload, and room for headers and the list of fragments.
    let share = 65_535 + 1_024 + settings.maximumFragments * 8
    require(gauges.reassemblyBytes <= settings.maximumReassemblies * share, "fragments take too much memory")
}
