import Testing
import UserStore
import Users

@Suite struct AuthenticatorTests {
    private let file: TemporaryDatabase
    private let store: UserStore
    private var random = Numbers()

    init() throws {
        file = try TemporaryDatabase()
        store = try file.open()
        for (index, text) in ["anna", "bert"].enumerated() {
            let hash = try quickHash("secret of \(text)", &random)
            try store.add(name(text), keys: [key(UInt8(index + 1))], password: hash, now: july)
        }
    }

    private mutating func authenticator(_ required: Set<LoginFactor>...) -> Authenticator {
        Authenticator(store: store, required: LoginRequirement(required), random: &random)
    }

    private func claim(
        key: [UInt8]? = nil, _ text: String? = nil, password: String? = nil, certificate: String? = nil
    ) -> LoginClaim {
        LoginClaim(key: key, name: text, password: password.flatMap { Password($0.utf8) }, certificate: certificate)
    }

    private func accepted(_ text: String) throws -> Authenticator.Verdict {
        .accepted(try #require(try store.user(name(text))))
    }

    @Test mutating func anyOneIsEnough() throws {
        var authenticator = authenticator()
        let stranger = key(77)
        #expect(try authenticator.decide(claim(key: key(1)), now: july) == accepted("anna"))
        #expect(
            try authenticator.decide(claim(key: stranger, "bert", password: "secret of bert"), now: july)
                == accepted("bert"))
        #expect(try authenticator.decide(claim(key: stranger, certificate: "anna"), now: july) == accepted("anna"))
        #expect(authenticator.hashes == 1)
    }

    @Test mutating func wrongOnesLookAndCostTheSame() throws {
        var authenticator = authenticator()
        try store.add(name("keyed"), keys: [key(3)], now: july)
        let wrong = [
            claim("anna", password: "secret of bert"), claim("nobody", password: "secret of anna"),
            claim("NOBODY\n", password: "x"), claim(password: "secret of anna"), claim("keyed", password: "x"),
            // A right key does not make up for a wrong password.
            claim(key: key(1), "anna", password: "wrong"),
        ]
        for (index, claim) in wrong.enumerated() {
            #expect(try authenticator.decide(claim, now: july) == .wrongCredentials)
            #expect(
                authenticator.hashes == index + 1, "each of them is hashed once, whether or not there is such a user")
        }
        for claim in [
            claim(), claim(key: key(77)), claim("anna"), claim(certificate: "nobody"), claim(key: key(1), "bert"),
        ] {
            #expect(try authenticator.decide(claim, now: july) == .wrongCredentials)
        }
        #expect(authenticator.hashes == wrong.count)
    }

    @Test mutating func severalMayBeAskedFor() throws {
        var both = authenticator([.key], [.password])
        let right = claim(key: key(1), "anna", password: "secret of anna")
        #expect(try both.decide(right, now: july) == accepted("anna"))
        for missing in [
            claim(key: key(1)), claim("anna", password: "secret of anna"),
            claim(key: key(2), "anna", password: "secret of anna"), claim(key: key(1), certificate: "anna"),
        ] {
            #expect(try both.decide(missing, now: july) == .wrongCredentials)
        }
        var all = authenticator([.key], [.password], [.certificate])
        #expect(try all.decide(right, now: july) == .wrongCredentials)
        var whole = right
        whole.certificate = "bert"
        #expect(try all.decide(whole, now: july) == .wrongCredentials)
        whole.certificate = "anna"
        #expect(try all.decide(whole, now: july) == accepted("anna"))
    }

    /// Every set of what is shown against every pair of alternatives: a certificate, and a key or a password.
    @Test mutating func oneOfSomeMayBeAskedFor() throws {
        var authenticator = authenticator([.certificate], [.key, .password])
        for shown in 0..<8 {
            let (hasKey, hasPassword, hasCertificate) = (shown & 1 != 0, shown & 2 != 0, shown & 4 != 0)
            let claim = claim(
                key: key(hasKey ? 1 : 77), hasPassword ? "anna" : nil, password: hasPassword ? "secret of anna" : nil,
                certificate: hasCertificate ? "anna" : nil)
            let isEnough = hasCertificate && (hasKey || hasPassword)
            let expected = isEnough ? try accepted("anna") : .wrongCredentials
            #expect(try authenticator.decide(claim, now: july) == expected, "shown: \(shown)")
        }
        // All of it by the same user.
        for claim in [
            claim(key: key(2), certificate: "anna"),
            claim(key: key(77), "bert", password: "secret of bert", certificate: "anna"),
            claim(key: key(1), "anna", password: "wrong", certificate: "anna"),
        ] {
            #expect(try authenticator.decide(claim, now: july) == .wrongCredentials)
        }
    }

    @Test mutating func reasonsAreForOwnersAlone() throws {
        var authenticator = authenticator()
        try store.change(name("anna")) { $0.isDisabled = true }
        try store.change(name("bert")) { $0.expires = july }
        #expect(try authenticator.decide(claim(key: key(1)), now: july) == .disabled(name("anna")))
        #expect(
            try authenticator.decide(claim("anna", password: "secret of anna"), now: july) == .disabled(name("anna")))
        #expect(try authenticator.decide(claim("anna", password: "wrong"), now: july) == .wrongCredentials)
        #expect(try authenticator.decide(claim(key: key(2)), now: july - 1) == accepted("bert"))
        #expect(try authenticator.decide(claim(key: key(2)), now: july) == .expired(name("bert")))
        #expect(try authenticator.decide(claim("bert", password: "wrong"), now: july) == .wrongCredentials)
    }
}
