import Packets
import Primitives

func fuzzHeaders(_ bytes: UnsafeRawBufferPointer) {
    if let quoted = try? IPHeader.parseQuoted(bytes.bytes) {
        require(quoted.headerLength <= bytes.count, "a quoted header lies outside its bytes")
    }
    guard let ip = try? parsed(bytes) else { return }
    require(ip.headerLength <= ip.totalLength && ip.totalLength <= bytes.count, "a packet lies outside its bytes")
    let message = bytes.bytes.extracting(ip.upperLayer)
    if let tcp = try? TCPHeader.parse(message) {
        require(tcp.headerLength <= message.byteCount, "a TCP header lies outside its segment")
    }
    if let udp = try? UDPHeader.parse(message) {
        require(udp.length <= message.byteCount, "a UDP datagram lies outside its packet")
    }
    if let icmp = try? ICMPHeader.parse(message) {
        _ = icmp.isError(isIPv4: ip.isIPv4)
        _ = icmp.isEchoRequest(isIPv4: ip.isIPv4)
    }
    quote(bytes, ip)
}

/// The packet as it is or, since a fuzzer cannot guess a checksum, with that of its IPv4 header left out.
private func parsed(_ bytes: UnsafeRawBufferPointer) throws(IPHeader.ParseError) -> IPHeader {
    do { return try IPHeader.parse(bytes.bytes) } catch .badHeaderChecksum {
        let header = try IPHeader.parseQuoted(bytes.bytes)
        guard header.totalLength <= bytes.count else { throw .truncated }
        return header
    }
}

/// An ICMP error about the packet can be read again and quotes its start.
private func quote(_ bytes: UnsafeRawBufferPointer, _ ip: IPHeader) {
    withUnsafeTemporaryAllocation(byteCount: 2_048, alignment: 16) { output in
        let count = ICMPWriter.destinationUnreachable(
            code: .host, quoting: bytes.bytes, from: ip.destination, into: output)
        guard count > 0 else { return }
        let error = UnsafeRawBufferPointer(rebasing: output[..<count])
        guard let outer = try? IPHeader.parse(error.bytes), outer.totalLength == count else {
            fatalError("an ICMP error that cannot be read")
        }
        require(outer.destination == ip.source, "an ICMP error goes astray")
    }
}

func fuzzOptions(_ bytes: UnsafeRawBufferPointer) {
    let options = TCPOptions(UnsafeRawBufferPointer(rebasing: bytes.prefix(TCPOptions.maximumLength)).bytes)
    require(options.encodedLength <= TCPOptions.maximumLength, "options do not fit into a header")
    withUnsafeTemporaryAllocation(byteCount: TCPHeader.maximumLength, alignment: 16) { memory in
        let length = PacketWriter.writeTCPHeader(
            to: memory.baseAddress!, sourcePort: 1, destinationPort: 2, sequence: SequenceNumber(3),
            acknowledgment: SequenceNumber(4), flags: .ack, window: 5, options: options)
        require(length <= TCPHeader.maximumLength, "a TCP header is too long")
        guard let tcp = try? TCPHeader.parse(UnsafeRawBufferPointer(rebasing: memory[..<length]).bytes) else {
            fatalError("a TCP header of ours cannot be read")
        }
        require(tcp.options.maximumSegmentSize == options.maximumSegmentSize, "MSS changed")
        require(tcp.options.windowScale == options.windowScale, "window scale changed")
        require(tcp.options.sackPermitted == options.sackPermitted, "SACK-permitted changed")
        require(tcp.options.timestamps?.value == options.timestamps?.value, "timestamps changed")
        require(tcp.options.sack.count <= options.sack.count, "SACK blocks came out of nowhere")
        for index in tcp.options.sack.indices {
            require(tcp.options.sack[index] == options.sack[index], "a SACK block changed")
        }
    }
}
