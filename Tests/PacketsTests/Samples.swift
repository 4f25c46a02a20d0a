import Packets
import Primitives
import SimNet

/// Bytes of hexadecimal text; blanks are ignored.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

/// Packets that a Linux kernel wrote on its loopback interface. Where it left the checksum to the device, the field
/// holds the pseudo-header's sum.
enum Captured {
    static let synV4 = hex(
        """
        4500003c627440004006da457f0000017f000001 a0061f90a3adb76c00000000a002ffd7fe300000
        0204ffd70402080a2de8c977000000000103030a
        """)
    static let synAckV4 = hex(
        """
        4500003c0000400040063cba7f0000017f000001 1f90a006862dbf28a3adb76da012ffcbfe300000
        0204ffd70402080a702f10802de8c9770103030a
        """)
    static let dataV4 = hex(
        """
        45000046627640004006da397f0000017f000001 a0061f90a3adb76d862dbf2980180040fe3a0000
        0101080a2de8c978702f1080474554202f20485454502f312e300d0a0d0a
        """)
    static let udpV4 = hex("4500001f1bd34000401120f97f0000017f000001 df650009000bfe1e6f6464")
    static let portUnreachableV4 = hex(
        """
        45c0003bd45300004001a7ac7f0000017f000001 03034bff00000000
        4500001f1bd34000401120f97f0000017f000001df650009000bfe1e6f6464
        """)
    static let synV6 = hex(
        """
        600f809800280640 00000000000000000000000000000001 00000000000000000000000000000001
        b1181f909df5a40d00000000a002ffc4003000000204ffc40402080a1783ffca000000000103030a
        """)
    static let finV6 = hex(
        """
        600f809800200640 00000000000000000000000000000001 00000000000000000000000000000001
        b1181f909df5a4207da8427d801100400028 00000101080a1783fffd64b5ac75
        """)
    static let udpV6 = hex(
        """
        600e806f000b1140 00000000000000000000000000000001 00000000000000000000000000000001
        87fa0009000b001e6f6464
        """)
    static let portUnreachableV6 = hex(
        """
        6003d54a003b3a40 00000000000000000000000000000001 00000000000000000000000000000001 0104b12800000000
        600e806f000b1140 00000000000000000000000000000001 00000000000000000000000000000001 87fa0009000b001e6f6464
        """)
    /// A DNS question behind hop-by-hop options and a fragment header that says "the only fragment".
    static let extensionsV6 = hex(
        """
        6000000000180040 20010db8000000000000000000000001 20010db8000000000000000000000002
        2c00010400000000 1100000012345678 0035003500080000
        """)

    static let all = [
        synV4, synAckV4, dataV4, udpV4, portUnreachableV4, synV6, finV6, udpV6, portUnreachableV6, extensionsV6,
    ]
}

func ipv4(_ text: String) -> IPAddress { .v4(IPv4Address(text)!) }
func ipv6(_ text: String) -> IPAddress { .v6(IPv6Address(text)!) }

extension SeededRandom {
    mutating func address(isIPv4: Bool) -> IPAddress {
        isIPv4
            ? .v4(IPv4Address(.random(in: 0 ... .max, using: &self)))
            : .v6(
                IPv6Address(high: .random(in: 0 ... .max, using: &self), low: .random(in: 0 ... .max, using: &self)))
    }

    mutating func options() -> TCPOptions {
        var options = TCPOptions()
        if Bool.random(using: &self) { options.maximumSegmentSize = .random(in: 0 ... .max, using: &self) }
        if Bool.random(using: &self) { options.windowScale = .random(in: 0...14, using: &self) }
        options.sackPermitted = .random(using: &self)
        if Bool.random(using: &self) {
            options.timestamps = (.random(in: 0 ... .max, using: &self), .random(in: 0 ... .max, using: &self))
        }
        for _ in 0..<Int.random(in: 0...4, using: &self) {
            let start = SequenceNumber(.random(in: 0 ... .max, using: &self))
            _ = options.sack.append(SACKBlock(start: start, end: start + 1000))
        }
        return options
    }
}

/// One TCP packet as a writer of tests wants it: everything checked and in place.
struct SampleSegment {
    var isIPv4 = true
    var sequence: UInt32 = 1000
    var flags: TCPFlags = .ack
    var options = TCPOptions()
    var identification: UInt16 = 7
    var trafficClass: UInt8 = 0
    var hopLimit: UInt8 = 64
    var payload: [UInt8] = []

    var source: IPAddress { isIPv4 ? ipv4("192.0.2.1") : ipv6("2001:db8::1") }
    var destination: IPAddress { isIPv4 ? ipv4("198.51.100.2") : ipv6("2001:db8:1::2") }
    var ipLength: Int { isIPv4 ? 20 : 40 }
    var headerLength: Int { ipLength + 20 + options.encodedLength }

    /// With its checksum, or with the pseudo-header's sum alone.
    func packet(partialChecksum: Bool = false) -> [UInt8] {
        let length = 20 + options.encodedLength + payload.count
        var bytes = [UInt8](repeating: 0, count: ipLength) + [UInt8](repeating: 0, count: length)
        bytes.withUnsafeMutableBytes { buffer in
            let memory = buffer.baseAddress!
            PacketWriter.writeIPHeader(
                to: memory, source: source, destination: destination, protocol: IPProtocol.tcp, payloadLength: length,
                hopLimit: hopLimit, trafficClass: trafficClass, identification: identification)
            let segment = memory + ipLength
            let headerLength = PacketWriter.writeTCPHeader(
                to: segment, sourcePort: 40000, destinationPort: 443, sequence: SequenceNumber(sequence),
                acknowledgment: SequenceNumber(77), flags: flags, window: 501, options: options)
            payload.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(start: segment + headerLength, count: bytes.count).copyMemory(from: bytes)
            }
            if partialChecksum {
                PacketWriter.setPartialChecksum(
                    at: segment, length: length, protocol: .tcp, source: source, destination: destination)
            } else {
                PacketWriter.setChecksum(
                    at: segment, length: length, protocol: .tcp, source: source, destination: destination)
            }
        }
        return bytes
    }
}

// Readers over arrays, since an expectation cannot hold a span.

extension IPHeader {
    static func parse(_ bytes: some Collection<UInt8>) throws(ParseError) -> IPHeader {
        let bytes = Array(bytes)
        return try parse(bytes.span.bytes)
    }
    static func parseQuoted(_ bytes: some Collection<UInt8>) throws(ParseError) -> IPHeader {
        let bytes = Array(bytes)
        return try parseQuoted(bytes.span.bytes)
    }
}

extension TCPHeader {
    static func parse(_ bytes: some Collection<UInt8>) throws(ParseError) -> TCPHeader {
        let bytes = Array(bytes)
        return try parse(bytes.span.bytes)
    }
}

extension TCPOptions {
    init(_ bytes: [UInt8]) { self.init(bytes.span.bytes) }
}

extension UDPHeader {
    static func parse(_ bytes: some Collection<UInt8>) throws(ParseError) -> UDPHeader {
        let bytes = Array(bytes)
        return try parse(bytes.span.bytes)
    }
}

extension ICMPHeader {
    static func parse(_ bytes: some Collection<UInt8>) throws(ParseError) -> ICMPHeader {
        let bytes = Array(bytes)
        return try parse(bytes.span.bytes)
    }
}

extension VirtioHeader {
    init?(_ bytes: [UInt8]) { self.init(bytes.span.bytes) }
}

extension Checksum {
    static func sum(_ bytes: some Collection<UInt8>) -> UInt64 {
        let bytes = Array(bytes)
        return sum(bytes.span.bytes)
    }

    static func isValid(
        segment: some Collection<UInt8>, source: IPAddress, destination: IPAddress, protocol: UInt8
    ) -> Bool {
        let bytes = Array(segment)
        return isValid(segment: bytes.span.bytes, source: source, destination: destination, protocol: `protocol`)
    }
}

/// Offers a packet, given as an array.
func append(_ packet: [UInt8], to coalescing: inout Coalescing) -> Coalescing.Outcome {
    coalescing.append(packet.span.bytes)
}

/// The TCP header of a packet and its payload, after all checksums were found right.
func decode(_ packet: [UInt8]) throws -> (ip: IPHeader, tcp: TCPHeader, payload: [UInt8]) {
    let ip = try IPHeader.parse(packet.span.bytes)
    let segment = packet.span.bytes.extracting(ip.upperLayer)
    let tcp = try TCPHeader.parse(segment)
    guard
        Checksum.isValid(segment: segment, source: ip.source, destination: ip.destination, protocol: ip.protocol)
    else { throw ChecksumMismatch() }
    return (ip, tcp, Array(packet[(ip.headerLength + tcp.headerLength)..<ip.totalLength]))
}

struct ChecksumMismatch: Error {}
