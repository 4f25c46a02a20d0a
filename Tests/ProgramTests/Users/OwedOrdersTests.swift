import Testing
import UserStore
import Users

@testable import penstock

@Suite struct OwedOrdersTests {
    private func kick(_ account: Int64, _ reason: String = "disabled") -> AccountBook.Order {
        AccountBook.Order(account: account, name: UserName("user\(account)")!, .endSessions(reason: reason))
    }

    private static func text(_ account: Int) -> String {
        "\(account) \(AccountBook.Order.Action.endSessions(reason: "disabled"))"
    }

    /// A loop that has no room is asked again, and the others are not: who came back meanwhile is not sent away a second time.
    @Test func aFullLoopIsAskedAgainAndNoOtherOne() {
        var owed = OwedOrders()
        var heard: [[String]] = [[], [], []]
        var isFull = [true, false, true]
        let hand = { (loop: Int, kick: AccountBook.Order) -> Bool in
            guard !isFull[loop] else { return false }
            heard[loop].append("\(kick.account) \(kick.action)")
            return true
        }
        #expect(owed.give([kick(1), kick(2)], to: 3, hand) == [])
        #expect(heard == [[], [Self.text(1), Self.text(2)], []] && owed.count == 2 && owed.retries == 4)
        isFull[2] = false
        #expect(owed.give([], to: 3, hand) == [])
        isFull[0] = false
        #expect(owed.give([], to: 3, hand) == [kick(1), kick(2)])
        #expect(heard.allSatisfy { $0 == [Self.text(1), Self.text(2)] })
        #expect(owed.give([], to: 3, hand) == [] && owed.count == 0)
    }

    /// While a loop stands still no more is owed than there are accounts, and the newest is what it hears.
    @Test func oneForEachAccountIsOwed() {
        var owed = OwedOrders()
        for number in 0..<1_000 {
            #expect(owed.give([kick(Int64(number % 3), "\(number)")], to: 1) { _, _ in false } == [])
        }
        #expect(owed.count == 3)
        #expect(
            owed.give([AccountBook.Order(account: 0, name: UserName("user0")!, .judgeFlows)], to: 1) { _, _ in false }
                == [])
        #expect(owed.count == 4, "another kind is another thing")
        let given = owed.give([], to: 1) { _, _ in true }
        #expect(Set(given.map(\.action)).isSuperset(of: (997...999).map { .endSessions(reason: "\($0)") }))
        #expect(given.count == 4)
    }
}
