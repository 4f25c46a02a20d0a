import Configuration
import Foundation
import Primitives
import Sealing
import Synchronization
import TestSupport
import Testing
import UserStore
import Users

@testable import Server
@testable import penstock

/// The desk on a thread of its own, between an administrator's commands and the loops.
@Suite struct LoginDeskTests {
    /// What the loops have heard, and the place that was given.
    private final class Heard: Sendable {
        let orders = Mutex<[[AccountBook.Order]]>([[], []])
        let admission = Mutex<Admission?>(nil)
        /// Times that the second loop has no room.
        let refusals = Mutex(2)
    }

    private func eventually(_ body: () -> Bool) -> Bool {
        for _ in 0..<500 {
            if body() { return true }
            usleep(10_000)
        }
        return false
    }

    @Test func everyLoopHearsWhatAnAdministratorDoes() throws {
        let folder = try TemporaryFolder()
        let path = folder("users.db")
        let store = try openUserDatabase(path, create: true, for: .administration)
        let name = try #require(UserName("anna"))
        let anna = try store.add(name, now: 0)
        let desk = try LoginDesk(UserSettings(database: path))
        let heard = Heard()
        try desk.start(
            loops: (0..<2).map { loop in
                { order in
                    let hasRoom = heard.refusals.withLock { left in
                        guard loop == 1, left > 0 else { return true }
                        left -= 1
                        return false
                    }
                    if hasRoom { heard.orders.withLock { $0[loop].append(order) } }
                    return hasRoom
                }
            })
        let key = try #require(KeyPair(privateKey: [UInt8](repeating: 9, count: 32))).publicKey
        let request = LoginRequest(
            key: key, user: nil, certificate: CertificateIdentity(user: "anna", serialNumber: [1]),
            remote: Endpoint("203.0.113.7:5000")!, software: "test")
        desk.ask(request) { decision in heard.admission.withLock { $0 = try? decision.get() } }
        #expect(eventually { heard.admission.withLock { $0 != nil } })

        let rule = try DestinationRule("192.0.2.0/24")
        try store.change(name) { $0.limits.destinations = [rule] }
        let judged = AccountBook.Order(account: anna.id, name: name, .judgeFlows)
        #expect(eventually { heard.orders.withLock { $0 } == [[judged], [judged]] })
        try store.setDisabled(.name(name), true)
        let ended = AccountBook.Order(account: anna.id, name: name, .endSessions(reason: "the account was disabled"))
        #expect(eventually { heard.orders.withLock { $0 } == [[judged, ended], [judged, ended]] })
        desk.stop()
    }
}
