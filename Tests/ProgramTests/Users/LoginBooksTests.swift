import Configuration
import Foundation
import GRDB
import Primitives
import Sealing
import SimNet
import TestSupport
import Testing
import Tunnel
import UserStore
import Users

@testable import Server
@testable import penstock

/// The login desk's decisions, from the database to the place in the account.
@Suite struct LoginBooksTests {
    private let folder: TemporaryFolder
    private let store: UserStore
    private let books: LoginBooks
    private let log = RecordingLog()

    init() throws {
        folder = try TemporaryFolder()
        let path = folder("users.db")
        store = try openUserDatabase(path, create: true, for: .administration)
        books = try LoginBooks(UserSettings(database: path), logger: log.logger("logins"))
    }

    private func request(
        _ name: String? = nil, _ password: String = "", key: UInt8 = 99, certificate: String? = nil,
        from source: String = "203.0.113.7:5000"
    ) -> LoginRequest {
        LoginRequest(
            key: KeyPair(privateKey: [UInt8](repeating: key, count: 32))!.publicKey,
            user: name.flatMap { UserLogin(name: $0, password: SecretBytes(copying: Array(password.utf8))) },
            certificate: certificate.map { CertificateIdentity(user: $0, serialNumber: [1]) },
            remote: Endpoint(source)!,
            software: "test")
    }

    private func refusal(_ decision: LoginDesk.Decision) -> LoginRefusal? {
        if case .failure(let refusal) = decision { refusal } else { nil }
    }

    private func add(_ text: String, _ password: String? = nil, _ limits: (inout UserLimits) -> Void = { _ in }) throws
    {
        var wanted = UserLimits()
        limits(&wanted)
        var numbers = SeededRandom(seed: 1)
        let hash = password.flatMap { Password($0.utf8) }.flatMap { PasswordHash($0, random: &numbers) }
        try store.add(UserName(text)!, password: hash, limits: wanted, now: 0)
    }

    @Test func whatTheDatabaseSaysHoldsInTheSession() throws {
        try add("anna", "sesame opens") {
            $0.sessions = 1
            $0.flows = 3
            $0.halfOpen = 2
            $0.associations = 4
            $0.bufferedBytes = 5 << 20
            $0.rateUp = 8_000_000
        }
        let admission = try books.decide(request("anna", "sesame opens")).get()
        let account = try #require(admission.seat?.account)
        #expect(admission.user == "anna" && account.name.text == "anna")
        let limits = [
            account.sessions.limit, account.flows.limit, account.halfOpen.limit, account.associations.limit,
            account.bufferedBytes.limit,
        ]
        #expect(limits == [1, 3, 2, 4, 5 << 20])
        let (isUpLimited, isDownLimited) = (account.up.isLimited, account.down.isLimited)
        #expect(isUpLimited && !isDownLimited)
        #expect(refusal(books.decide(request("anna", "sesame opens"))) == .tooManySessions)
        #expect(
            log.lines == [
                "notice logins: login refused client=203.0.113.7:5000 reason=too-many-sessions user=anna"
            ])
    }

    @Test func aCertificateNamesAUser() throws {
        try add("anna")
        #expect(try books.decide(request(certificate: "anna")).get().user == "anna")
        #expect(refusal(books.decide(request(certificate: "nobody"))) == .wrongCredentials)
        // One who says another name besides is refused, whatever the certificate says.
        #expect(refusal(books.decide(request("bert", certificate: "anna"))) == .wrongCredentials)
        let failure = "warning logins: login failed client=203.0.113.7:5000 reason=wrong-credentials user="
        #expect(log.lines == [failure + "-", failure + "bert"])
    }

    /// Somebody has edited the table by hand. A stranger hears nothing of it; the log does.
    @Test(arguments: [
        "UPDATE user SET password = 'plain'", "INSERT INTO destination SELECT id, 0, 'no rule!' FROM user",
    ])
    func nobodyLogsInByADamagedEntry(sql: String) throws {
        try add("anna", "sesame opens")
        try DatabaseQueue(path: folder("users.db")).write { try $0.execute(sql: sql) }
        for request in [request("anna", "sesame opens"), request(certificate: "anna")] {
            #expect(refusal(books.decide(request)) == .wrongCredentials)
        }
        let errors = log.lines.filter {
            $0.hasPrefix("error logins: a login came to nothing: the entry of user #1 is damaged: ")
        }
        #expect(errors.count == 2 && log.lines.count == 4, "\(log.lines)")
        #expect(log.lines.count { $0.contains("login failed client=203.0.113.7:5000 reason=wrong-credentials") } == 2)
    }

    /// A source has ten failures at once. After that no password is even looked at, not even the right one; other sources go on.
    @Test func failuresOfASourceAreLimited() throws {
        try add("anna", "sesame opens")
        let allowed = Int(LoginLimiter.Settings().sourcePatience.seconds / LoginLimiter.Settings().penalty.seconds)
        for number in 0..<allowed {
            #expect(refusal(books.decide(request(key: UInt8(number)))) == .wrongCredentials, "failure \(number + 1)")
        }
        for decision in [books.decide(request("anna", "sesame opens")), books.decide(request(key: 98))] {
            guard case .tryLater(let seconds)? = refusal(decision) else {
                Issue.record("let in, or refused for another reason")
                continue
            }
            #expect((1...20).contains(seconds))
        }
        // What cannot be guessed is let in from there as well, and from elsewhere everything that is right.
        #expect(try books.decide(request(certificate: "anna")).get().user == "anna")
        let elsewhere = request("anna", "sesame opens", from: "203.0.113.8:5000")
        #expect(try books.decide(elsewhere).get().user == "anna")
    }

    /// Passwords wait for each other; a key does not wait for them.
    @Test func keysDoNotWaitForPasswords() throws {
        try add("anna", "sesame opens")
        var order: [String] = []
        books.take(request("anna", "sesame opens")) { _ in order.append("first password") }
        books.take(request("anna", "sesame opens")) { _ in order.append("second password") }
        books.take(request(certificate: "anna")) { _ in order.append("certificate") }
        #expect(order == ["certificate"])
    }

    /// With a name, failures count from wherever they come, whether or not there is such a user.
    @Test(arguments: ["anna", "nobody"]) func failuresOfANameAreLimited(name: String) throws {
        try add("anna")
        let settings = LoginLimiter.Settings()
        let allowed = Int(settings.namePatience.seconds / settings.penalty.seconds)
        for number in 0..<allowed {
            // Without a password nothing is hashed, which keeps this quick.
            let decision = books.decide(request(name, from: "198.51.100.\(number):1"))
            #expect(refusal(decision) == .wrongCredentials, "failure \(number + 1)")
        }
        guard case .tryLater? = refusal(books.decide(request(name, from: "203.0.113.9:1"))) else {
            Issue.record("not limited")
            return
        }
    }
}
