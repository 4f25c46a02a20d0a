import Packets
import Primitives

/// The headers of one application's segments as its kernel writes them, and what is needed to finish a checksum
/// without summing the payload again.
///
/// The application's end is made from a number, so that an answer tells which application it is for.
enum PacketTemplate {
    /// Room for IPv6, TCP and the timestamps, in units of a cache line.
    static let stride = 128
    static let destination = Endpoint("192.0.2.1:443")!
    static let destination6 = Endpoint("[2001:db8::1]:443")!
    /// Ports of one source address: no source has so many flows that a limit per source would count.
    private static let portsPerSource = 32
    private static let firstPort = 20_000
    private static let firstAddress: UInt32 = 0x0A00_0100

    static func source(_ index: Int, isIPv4: Bool) -> Endpoint {
        let number = UInt32(index / portsPerSource)
        let port = UInt16(firstPort + index % portsPerSource)
        return isIPv4
            ? Endpoint(.v4(IPv4Address(firstAddress + number)), port)
            : Endpoint(.v6(IPv6Address(high: 0xFD00 << 48, low: UInt64(firstAddress + number))), port)
    }

    /// The number of the application that a packet goes to.
    @inline(__always)
    static func index(_ packet: UnsafeRawPointer, isIPv4: Bool) -> Int {
        let address = packet.loadBigEndian(at: isIPv4 ? 16 : 36, as: UInt32.self)
        let port = packet.loadBigEndian(at: (isIPv4 ? 20 : 40) + 2, as: UInt16.self)
        return Int(address &- firstAddress) * portsPerSource + Int(port) - firstPort
    }
}

/// Bytes of headers before the payload of an application's segment.
struct HeaderLayout {
    let isIPv4: Bool
    let hasTimestamps: Bool

    var ip: Int { PacketWriter.ipHeaderLength(isIPv4: isIPv4) }
    var tcp: Int { TCPHeader.minimumLength + (hasTimestamps ? 12 : 0) }
    var total: Int { ip + tcp }
}
