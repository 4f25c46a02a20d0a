import Glibc
import Primitives

/// Where a route leads.
public enum RouteAction: Equatable, Sendable {
    /// Straight into an interface.
    case device(UInt32)
    /// Back to the rules: the look-up goes on as if this table had no match (RTN_THROW).
    case throwBack
}

extension Netlink {
    // Attributes of routes (RTA_…) and the size of `struct rtmsg`.
    private static let destination: UInt16 = 1
    private static let outputInterface: UInt16 = 4
    private static let routeTable: UInt16 = 15
    private static let routeHeaderSize = 12

    /// Adds a route, in place of one with the same destination.
    public func addRoute(_ prefix: IPPrefix, table: UInt32, action: RouteAction) throws(SystemError) {
        let type: UInt8
        let scope: UInt8
        switch action {
        case .device:
            type = 1  // RTN_UNICAST
            scope = prefix.address.isIPv4 ? 253 : 0  // RT_SCOPE_LINK; IPv6 knows no scopes of routes
        case .throwBack:
            type = 9  // RTN_THROW
            scope = 0
        }
        var request = NetlinkRequest(MessageType.newRoute, [.request, .acknowledge, .create, .replace])
        appendRoute(prefix, table, type: type, scope: scope, to: &request)
        if case .device(let index) = action { request.append(attribute: Self.outputInterface, index) }
        try perform(request, "add the route \(prefix) to table \(table)")
    }

    public func deleteRoute(_ prefix: IPPrefix, table: UInt32) throws(SystemError) {
        var request = NetlinkRequest(MessageType.deleteRoute, [.request, .acknowledge])
        appendRoute(prefix, table, type: 0, scope: 255, to: &request)  // any type, RT_SCOPE_NOWHERE: any scope
        try perform(request, "delete the route \(prefix) from table \(table)")
    }

    /// `struct rtmsg`, the destination and the table.
    private func appendRoute(
        _ prefix: IPPrefix, _ table: UInt32, type: UInt8, scope: UInt8, to request: inout NetlinkRequest
    ) {
        let family = AddressFamily(prefix.address).rawValue
        let shortTable = UInt8(exactly: table) ?? 0
        let staticRoute: UInt8 = 4  // RTPROT_STATIC
        request.append([family, UInt8(prefix.length), 0, 0, shortTable, staticRoute, scope, type])
        request.append(UInt32(0))
        if prefix.length > 0 { request.append(attribute: Self.destination, prefix.address) }
        request.append(attribute: Self.routeTable, table)
    }

    /// Deletes all routes of a table, both families.
    public func flushRoutes(table: UInt32) throws(SystemError) {
        precondition(!Netlink.systemTables.contains(table), "the system's own tables are not ours to flush")
        for family in AddressFamily.allCases {
            for route in try routes(family, table: table) {
                var request = NetlinkRequest(MessageType.deleteRoute, [.request, .acknowledge])
                request.append(route.payload)
                do throws(SystemError) {
                    try perform(request, "delete a route of table \(table)")
                } catch {
                    // Gone meanwhile, with its interface.
                    if error.code != ESRCH { throw error }
                }
            }
        }
    }

    private func routes(_ family: AddressFamily, table: UInt32) throws(SystemError) -> [NetlinkMessage] {
        var request = NetlinkRequest(MessageType.getRoute, [.request, .dump])
        request.append([family.rawValue, 0, 0, 0, UInt8(exactly: table) ?? 0, 0, 0, 0])
        request.append(UInt32(0))
        request.append(attribute: Self.routeTable, table)
        do throws(SystemError) {
            return try exchange(request, "list the routes of table \(table)").filter { route in
                route.type == MessageType.newRoute && route.integer(at: 0, as: UInt8.self) == family.rawValue
                    && route.attributeInteger(Self.routeTable, from: Self.routeHeaderSize) == table
            }
        } catch {
            // A table that never had a route does not exist; nor does a family that the kernel lacks.
            if error.code == ENOENT || error.code == EAFNOSUPPORT || error.code == EOPNOTSUPP { return [] }
            throw error
        }
    }
}
