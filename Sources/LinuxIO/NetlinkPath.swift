import Glibc
import Primitives

/// The way by which packets to a destination leave this machine.
public struct NetworkRoute: Hashable, Sendable {
    public var interface: UInt32
    /// The address that packets are sent from.
    public var source: IPAddress?
    /// The next hop; nil where the destination is on the link itself, or the gateway is of the other family.
    public var gateway: IPAddress?
}

/// RTA_…, and the size of `struct rtmsg`, behind which they begin.
private enum RouteAttribute {
    static let destination: UInt16 = 1
    static let outputInterface: UInt16 = 4
    static let gateway: UInt16 = 5
    static let preferredSource: UInt16 = 7
    static let mark: UInt16 = 16
    static let start = 12
}

/// RTN_…
private enum RouteType {
    static let unicast: UInt8 = 1
    static let local: UInt8 = 2
}

extension Netlink {
    /// Asks the kernel how a packet to this address would leave, with all rules applied (RTM_GETROUTE).
    /// - Parameter mark: the packet's mark.
    /// - Returns: nil when there is no way.
    public func route(to destination: IPAddress, mark: UInt32?) throws(SystemError) -> NetworkRoute? {
        var request = NetlinkRequest(MessageType.getRoute, [.request, .acknowledge])
        request.append([AddressFamily(destination).rawValue, UInt8(destination.bitWidth), 0, 0, 0, 0, 0, 0])
        request.append(UInt32(0))
        request.append(attribute: RouteAttribute.destination, destination)
        if let mark { request.append(attribute: RouteAttribute.mark, mark) }
        let answer: [NetlinkMessage]
        do throws(SystemError) {
            answer = try exchange(request, "find the route to \(destination)")
        } catch {
            switch error.code {
            case ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, ENETDOWN, EAFNOSUPPORT, EOPNOTSUPP, EAGAIN: return nil
            default: throw error
            }
        }
        // IPv6 answers with a route of type "unreachable" where IPv4 answers with an error.
        guard let route = answer.first(where: { $0.type == MessageType.newRoute }),
            let type = route.integer(at: 7, as: UInt8.self), type == RouteType.unicast || type == RouteType.local,
            let interface = route.attributeInteger(RouteAttribute.outputInterface, from: RouteAttribute.start)
        else { return nil }
        return NetworkRoute(
            interface: interface,
            source: route.attributeAddress(RouteAttribute.preferredSource, from: RouteAttribute.start),
            gateway: route.attributeAddress(RouteAttribute.gateway, from: RouteAttribute.start))
    }
}

extension NetlinkMessage {
    func attributeAddress(_ type: UInt16, from start: Int) -> IPAddress? {
        guard let bytes = attribute(type, from: start) else { return nil }
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: return .v4(IPv4Address(UInt32(truncatingIfNeeded: word(bytes))))
        case 16: return .v6(IPv6Address(high: word(bytes.prefix(8)), low: word(bytes.suffix(8))))
        default: return nil
        }
    }
}
