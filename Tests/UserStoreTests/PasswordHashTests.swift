import Testing

@testable import UserStore

@Suite struct PasswordHashTests {
    private var random = Numbers()

    /// The first half of the vectors of RFC 7914, section 12: blocks of 32 bytes do not depend on each other.
    @Test(arguments: [
        (
            "password", "NaCl", PasswordHash.Cost(logN: 10, r: 8, p: 16),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        ),
        (
            "pleaseletmein", "SodiumChloride", PasswordHash.Cost(logN: 14, r: 8, p: 1),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        ),
    ])
    func theVectorsOfTheRFC(text: String, salt: String, cost: PasswordHash.Cost, expected: String) throws {
        let hash = PasswordHash.derive(try #require(Password(text.utf8)), Array(salt.utf8), cost)
        #expect(try #require(hash).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == expected)
    }

    @Test mutating func aHashMatchesItsPasswordAlone() throws {
        let password = try #require(Password("correct horse".utf8))
        let hash = try quickHash("correct horse", &random)
        #expect(hash.matches(password) == true)
        for other in ["correct horsf", "correct horse "] {
            #expect(hash.matches(try #require(Password(other.utf8))) == false)
        }
        #expect(try quickHash("correct horse", &random) != hash)
        #expect(PasswordHash.dummy(random: &random).matches(password) == false)
    }

    @Test mutating func textsReadAsWritten() throws {
        let hash = try quickHash("secret", &random)
        #expect(PasswordHash("\(hash)") == hash)
        #expect("\(hash)".hasPrefix("scrypt:4:1:1:"))
        #expect(!"\(hash)".contains("secret"))
    }

    @Test(arguments: [
        "", "scrypt", "scrypt:15:8:1:AAAA:AAAA", "bcrypt:4:1:1:AAAAAAAAAAAAAAAAAAAAAA==:", "scrypt:40:8:1:x:y",
        "scrypt:63:8:1:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "scrypt:15:0:1:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "scrypt:15:8:-1:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ])
    func otherTexts(_ text: String) { #expect(PasswordHash(text) == nil) }

    @Test mutating func accentsAreOneThingHoweverTheyAreTyped() throws {
        let hash = try quickHash("caf\u{E9}", &random)
        #expect(hash.matches(try #require(Password("cafe\u{301}".utf8))) == true)
    }

    @Test func whatIsNoPassword() {
        #expect(Password([]) == nil)
        #expect(Password([0xFF, 0xFE]) == nil)
        #expect(Password([UInt8](repeating: 97, count: Password.maximumSize)) != nil)
        #expect(Password([UInt8](repeating: 97, count: Password.maximumSize + 1)) == nil)
    }
}
