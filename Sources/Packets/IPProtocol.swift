/// Protocol numbers of IANA's list, as in IPv4's Protocol and IPv6's Next Header.
public enum IPProtocol {
    public static let hopByHopOptions: UInt8 = 0
    public static let icmp: UInt8 = 1
    public static let tcp: UInt8 = 6
    public static let udp: UInt8 = 17
    public static let routing: UInt8 = 43
    public static let fragment: UInt8 = 44
    public static let icmpv6: UInt8 = 58
    public static let destinationOptions: UInt8 = 60
}
