import Glibc
import Primitives

/// Leads the machine's traffic into the tunnel, and the tunnel's own past it.
///
/// A table of its own has the captured prefixes, leading into the TUN device, and `throw` routes for what is left out.
/// One rule stands above the main table's: all packets without the tunnel's mark are looked up in ours. What ours does
/// not know, or throws back, goes on to the main table, and so does what carries the mark. So the server is reached
/// without a host route, the tunnel's own packets can never fall into the tunnel, and nothing of the system's own routes
/// changes.
public final class ClientRouting {
    private let netlink: Netlink
    private let interface: UInt32
    private var capture: [IPPrefix]
    private var exclude: [IPPrefix]
    private var isInstalled = false
    private let table: UInt32
    private let mark: UInt32
    private let rulePriority: UInt32

    /// - Parameters:
    ///   - interface: the TUN device's index.
    ///   - exclude: left out of `capture`; wins where a prefix is in both.
    ///   - table: a routing table that nobody else uses.
    ///   - rulePriority: of the rule; below 32766, the main table's.
    /// - Throws: EINVAL when the table is the system's own or the rule would come too late.
    public init(
        netlink: Netlink, interface: UInt32, capture: [IPPrefix], exclude: [IPPrefix], table: UInt32, mark: UInt32,
        rulePriority: UInt32
    ) throws(SystemError) {
        if Netlink.systemTables.contains(table) {
            throw SystemError(
                code: EINVAL, operation: "use routing table \(table)", detail: "the table belongs to the system")
        }
        if rulePriority == 0 || rulePriority >= 32_766 {
            throw SystemError(
                code: EINVAL, operation: "use rule priority \(rulePriority)",
                detail: "the rule must stand between the local table's, 0, and the main table's, 32766")
        }
        self.netlink = netlink
        self.interface = interface
        self.capture = capture
        self.exclude = exclude
        self.table = table
        self.mark = mark
        self.rulePriority = rulePriority
    }

    /// The families of which anything is captured, IPv6 only where the machine has it. The others' rules stay as they
    /// are.
    private var families: [AddressFamily] { families(capture) }

    private func families(_ capture: [IPPrefix]) -> [AddressFamily] {
        AddressFamily.allCases.filter { family in
            capture.contains { AddressFamily($0.address) == family } && (family == .ipv4 || ipv6IsAvailable())
        }
    }

    /// Clears what a killed predecessor left, then puts everything in place; when that fails, takes it back.
    public func install() throws(SystemError) {
        try remove()
        let families = families
        do throws(SystemError) {
            _ = try addRoutes(capture, exclude, families)
            for family in families {
                try netlink.addRule(family, priority: rulePriority, mark: mark, invert: true, table: table)
            }
        } catch {
            try? remove()
            throw error
        }
        isInstalled = true
    }

    /// Leads other traffic into the tunnel. What is captured before and after has its route throughout: new routes are
    /// there before old ones go. When it fails, everything is put in place anew as it was.
    public func change(capture newCapture: [IPPrefix], exclude newExclude: [IPPrefix]) throws(SystemError) {
        guard isInstalled else {
            capture = newCapture
            exclude = newExclude
            return
        }
        let before = families
        let after = families(newCapture)
        do throws(SystemError) {
            let kept = try addRoutes(newCapture, newExclude, after)
            for prefix in Set(capture + exclude).subtracting(kept)
            where before.contains(AddressFamily(prefix.address)) {
                try netlink.deleteRoute(prefix, table: table)
            }
            for family in after where !before.contains(family) {
                try netlink.addRule(family, priority: rulePriority, mark: mark, invert: true, table: table)
            }
            for family in before where !after.contains(family) {
                try netlink.flushRules(family, priority: rulePriority, table: table)
            }
        } catch {
            try install()
            throw error
        }
        capture = newCapture
        exclude = newExclude
    }

    /// - Returns: the prefixes that have a route now.
    private func addRoutes(
        _ capture: [IPPrefix], _ exclude: [IPPrefix], _ families: [AddressFamily]
    ) throws(SystemError) -> Set<IPPrefix> {
        var added: Set<IPPrefix> = []
        let left = Set(exclude)
        for prefix in capture
        where families.contains(AddressFamily(prefix.address)) && !left.contains(prefix) {
            try netlink.addRoute(prefix, table: table, action: .device(interface))
            added.insert(prefix)
        }
        for prefix in exclude where families.contains(AddressFamily(prefix.address)) {
            try netlink.addRoute(prefix, table: table, action: .throwBack)
            added.insert(prefix)
        }
        return added
    }

    /// Takes everything back; what is not there is no error. Goes on after a failure and throws the first one.
    public func remove() throws(SystemError) {
        isInstalled = false
        var failure: SystemError?
        func attempt(_ body: () throws(SystemError) -> Void) {
            do throws(SystemError) { try body() } catch { failure = failure ?? error }
        }
        for family in AddressFamily.allCases {
            attempt { () throws(SystemError) in try netlink.flushRules(family, priority: rulePriority, table: table) }
        }
        attempt { () throws(SystemError) in try netlink.flushRoutes(table: table) }
        if let failure { throw failure }
    }
}
