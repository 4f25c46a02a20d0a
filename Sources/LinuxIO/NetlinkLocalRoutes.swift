import Glibc
import Primitives

extension Netlink {
    /// RTA_DST, and the size of `struct rtmsg`, behind which attributes begin.
    private static let destination: UInt16 = 1
    private static let headerSize = 12
    /// RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST: what the kernel keeps, or gives to everybody on a link, itself among them.
    private static let ownTypes: [UInt8] = [2, 3, 4]

    /// What the kernel delivers to this machine: the addresses of all interfaces, the broadcast and anycast addresses
    /// that come with them, and prefixes that somebody made local. From the routes of all tables, since those are what the
    /// kernel itself goes by.
    public func ownAddresses() throws(SystemError) -> [IPPrefix] {
        var result: [IPPrefix] = []
        for family in AddressFamily.allCases {
            for type in Self.ownTypes { result += try ownAddresses(family, type) }
        }
        return result
    }

    private func ownAddresses(_ family: AddressFamily, _ type: UInt8) throws(SystemError) -> [IPPrefix] {
        var request = NetlinkRequest(MessageType.getRoute, [.request, .dump])
        // The kernel answers with routes of this type alone, where it checks requests strictly.
        request.append([family.rawValue, 0, 0, 0, 0, 0, 0, type])
        request.append(UInt32(0))
        let answer: [NetlinkMessage]
        do throws(SystemError) {
            answer = try exchange(request, "list the machine's own addresses")
        } catch {
            // A family that the kernel lacks.
            if error.code == EAFNOSUPPORT || error.code == EOPNOTSUPP { return [] }
            throw error
        }
        return answer.compactMap { route in
            guard route.type == MessageType.newRoute, route.integer(at: 0, as: UInt8.self) == family.rawValue,
                route.integer(at: 7, as: UInt8.self) == type, let length = route.integer(at: 1, as: UInt8.self),
                let address = route.attributeAddress(Self.destination, from: Self.headerSize)
            else { return nil }
            return IPPrefix(address, length: Int(length))
        }
    }
}
