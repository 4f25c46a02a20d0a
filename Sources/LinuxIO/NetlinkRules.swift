import Glibc
import Primitives

extension Netlink {
    /// Tables that the system itself uses (rtnetlink.h): unspecified, default, main, local.
    public static let systemTables: Set<UInt32> = [0, 253, 254, 255]
    public static let mainTable: UInt32 = 254

    // Attributes of rules (FRA_…) and the size of `struct fib_rule_hdr`.
    private static let rulePriority: UInt16 = 6
    private static let ruleMark: UInt16 = 10
    private static let ruleTable: UInt16 = 15
    private static let ruleHeaderSize = 12

    /// Adds a rule: packets with this mark (all when nil; the others when `invert`) are looked up in `table`.
    public func addRule(
        _ family: AddressFamily, priority: UInt32, mark: UInt32?, invert: Bool = false, table: UInt32
    ) throws(SystemError) {
        var request = NetlinkRequest(MessageType.newRule, [.request, .acknowledge, .create, .exclusive])
        appendRule(family, priority, mark, invert, table, to: &request)
        try perform(request, "add the rule with priority \(priority) for table \(table)")
    }

    public func deleteRule(
        _ family: AddressFamily, priority: UInt32, mark: UInt32?, invert: Bool = false, table: UInt32
    ) throws(SystemError) {
        var request = NetlinkRequest(MessageType.deleteRule, [.request, .acknowledge])
        appendRule(family, priority, mark, invert, table, to: &request)
        try perform(request, "delete the rule with priority \(priority) for table \(table)")
    }

    private func appendRule(
        _ family: AddressFamily, _ priority: UInt32, _ mark: UInt32?, _ invert: Bool, _ table: UInt32,
        to request: inout NetlinkRequest
    ) {
        // struct fib_rule_hdr; action 1 is FR_ACT_TO_TBL, flag 2 FIB_RULE_INVERT.
        request.append([family.rawValue, 0, 0, 0, UInt8(exactly: table) ?? 0, 0, 0, 1])
        request.append(UInt32(invert ? 2 : 0))
        request.append(attribute: Self.rulePriority, priority)
        if let mark { request.append(attribute: Self.ruleMark, mark) }
        request.append(attribute: Self.ruleTable, table)
    }

    /// Deletes all rules with this priority that lead to this table.
    public func flushRules(_ family: AddressFamily, priority: UInt32, table: UInt32) throws(SystemError) {
        for rule in try rules(family) {
            // The kernel leaves out a priority of zero.
            let itsPriority = rule.attributeInteger(Self.rulePriority, from: Self.ruleHeaderSize) ?? 0
            let itsTable = rule.attributeInteger(Self.ruleTable, from: Self.ruleHeaderSize)
            guard itsPriority == priority, itsTable == table else { continue }
            var request = NetlinkRequest(MessageType.deleteRule, [.request, .acknowledge])
            request.append(rule.payload)
            try perform(request, "delete the rule with priority \(priority) for table \(table)")
        }
    }

    private func rules(_ family: AddressFamily) throws(SystemError) -> [NetlinkMessage] {
        var request = NetlinkRequest(MessageType.getRule, [.request, .dump])
        request.append([family.rawValue, 0, 0, 0, 0, 0, 0, 0])
        request.append(UInt32(0))
        do throws(SystemError) {
            return try exchange(request, "list the rules").filter {
                $0.type == MessageType.newRule && $0.integer(at: 0, as: UInt8.self) == family.rawValue
            }
        } catch {
            if error.code == EAFNOSUPPORT || error.code == EOPNOTSUPP { return [] }
            throw error
        }
    }
}
