import Packets
import Primitives

/// A virtio header, then a packet: it is cut, and the pieces are joined again; the payload stays what it was.
func fuzzOffload(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > VirtioHeader.byteCount, let header = VirtioHeader(bytes.bytes) else { return }
    var packet = Array(bytes[VirtioHeader.byteCount...])
    mendIPv4Header(&packet)
    packet.withUnsafeMutableBytes { _ = Segmentation.completeChecksum(packet: $0, header: header) }
    packet.withUnsafeBytes { whole in
        var pieces: [[UInt8]] = []
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { scratch in
            // Every segment repeats the headers: an input of 64 KB in steps of one byte would take forever.
            guard header.gsoType == .none || whole.count / max(1, Int(header.segmentSize)) < 256 else { return }
            _ = try? Segmentation.split(packet: whole.bytes, header: header, scratch: scratch) {
                pieces.append(Array($0))
            }
        }
        guard header.gsoType == .tcpv4 || header.gsoType == .tcpv6, !pieces.isEmpty else { return }
        check(pieces, of: whole)
        join(pieces, of: whole)
    }
}

/// Cut pieces are whole packets with right checksums, and carry the payload in order.
private func check(_ pieces: [[UInt8]], of whole: UnsafeRawBufferPointer) {
    var payload: [UInt8] = []
    for piece in pieces {
        piece.withUnsafeBytes { bytes in
            guard let ip = try? IPHeader.parse(bytes.bytes),
                let tcp = try? TCPHeader.parse(bytes.bytes.extracting(ip.upperLayer))
            else { fatalError("a segment that cannot be read") }
            require(ip.totalLength == bytes.count, "a segment's length is wrong")
            let isValid = Checksum.isValid(
                segment: bytes.bytes.extracting(ip.upperLayer), source: ip.source, destination: ip.destination,
                protocol: IPProtocol.tcp)
            require(isValid, "a segment's checksum is wrong")
            payload += bytes[(ip.headerLength + tcp.headerLength)...]
        }
    }
    require(payload == originalPayload(whole), "cutting changed the payload")
}

/// Super-segments made of the pieces carry the same bytes in the same order.
private func join(_ pieces: [[UInt8]], of whole: UnsafeRawBufferPointer) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    defer { memory.deallocate() }
    var coalescing = Coalescing(buffer: memory)
    var payload: [UInt8] = []
    func flush() {
        guard let taken = coalescing.take() else { return }
        payload += originalPayload(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<taken.length]))
    }
    for piece in pieces {
        piece.withUnsafeBytes { bytes in
            switch coalescing.append(bytes.bytes) {
            case .started, .joined: return
            case .notEligible: payload += originalPayload(bytes)
            case .mustFlush:
                flush()
                if coalescing.append(bytes.bytes) != .started { payload += originalPayload(bytes) }
            }
        }
    }
    flush()
    require(payload == originalPayload(whole), "joining changed the payload")
}

private func originalPayload(_ packet: UnsafeRawBufferPointer) -> [UInt8] {
    guard let ip = try? IPHeader.parse(packet.bytes),
        let tcp = try? TCPHeader.parse(packet.bytes.extracting(ip.upperLayer))
    else { fatalError("a packet that cannot be read") }
    return Array(packet[ip.headerLength + tcp.headerLength..<ip.totalLength])
}

/// Gives an IPv4 header the checksum that a fuzzer cannot guess.
func mendIPv4Header(_ packet: inout [UInt8]) {
    guard packet.count >= 20, packet[0] >> 4 == 4 else { return }
    let length = Int(packet[0] & 15) * 4
    guard length >= 20, length <= packet.count else { return }
    packet.withUnsafeMutableBytes { PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: length) }
}
