import Foundation
import PKI
import SimNet
import Testing

@Suite struct NameTests {
    @Test(arguments: ["a", "a.b", "A-1.example", "*.a.b", "xn--bcher-kva.example", "a.b."])
    func namesOfServers(text: String) {
        #expect(ServerName.dns(checking: text) != nil)
    }

    @Test(arguments: [
        "", ".", "a..b", "-a.b", "a-.b", "a b", "*", "*.b", "a.*.c", "1.2.3.4", "ü.example", "a_b.c",
        String(repeating: "a", count: 64) + ".b", String(repeating: "a.", count: 127) + "b",
    ])
    func whatIsNoNameOfAServer(text: String) {
        #expect(ServerName.dns(checking: text) == nil)
    }

    @Test(arguments: ["", "a b", "../a", "-a", ".a", "a/b", "é", String(repeating: "a", count: 65), "a\nb"])
    func whatIsNoNameOfAClient(text: String) throws {
        var random = SeededRandom(seed: 1)
        let authority = try CertificateAuthority(name: "A", days: 10, now: Date(), using: &random)
        #expect(throws: AuthorityError.badName(text)) {
            try authority.issueClient(name: text, days: 1, now: Date(), using: &random)
        }
    }

    @Test func serialNumbersAreReadBack() throws {
        let serial = try #require(SerialNumber("0aFF10"))
        #expect(serial.bytes == [0x0A, 0xFF, 0x10])
        #expect(serial.description == "0aff10")
        for junk in ["", "0", "0g", " 0a", "0a0", String(repeating: "00", count: 21), "é0"] {
            #expect(SerialNumber(junk) == nil, "\(junk)")
        }
    }
}
