import UserStore

/// Orders that some loops could not be given yet, because their mailboxes were full: each loop is asked again until it has them, and no
/// loop gets one twice. One of a kind for each account at most: a newer one says all that the former said.
struct OwedOrders {
    private var owed: [(order: AccountBook.Order, loops: [Int])] = []
    /// How often a loop had no room.
    private(set) var retries = 0

    var count: Int { owed.count }

    /// Gives `orders` to all loops, and what is owed to those that had no room before.
    /// - Parameters:
    ///   - loops: how many there are.
    ///   - hand: says whether a loop took the order.
    /// - Returns: the orders that the last loop has now.
    mutating func give(
        _ orders: [AccountBook.Order], to loops: Int, _ hand: (_ loop: Int, AccountBook.Order) -> Bool
    ) -> [AccountBook.Order] {
        owed.removeAll { former in orders.contains { $0.replaces(former.order) } }
        owed += orders.map { ($0, Array(0..<loops)) }
        var given: [AccountBook.Order] = []
        owed = owed.compactMap { order, waiting in
            let rest = waiting.filter { !hand($0, order) }
            retries += rest.count
            if rest.isEmpty { given.append(order) }
            return rest.isEmpty ? nil : (order, rest)
        }
        return given
    }
}

extension AccountBook.Order {
    fileprivate func replaces(_ former: Self) -> Bool {
        guard account == former.account else { return false }
        return switch (action, former.action) {
        case (.endSessions, .endSessions), (.judgeFlows, .judgeFlows): true
        case (.endSessions, .judgeFlows), (.judgeFlows, .endSessions): false
        }
    }
}
