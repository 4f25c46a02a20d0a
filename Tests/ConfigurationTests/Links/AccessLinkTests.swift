import Primitives
import Sealing
import Testing
import Users

@testable import Configuration

@Suite struct AccessLinkTests {
    private static let whole: AccessLink = {
        var link = AccessLink(
            server: HostAndPort(host: .name("vpn.example.org"), port: 4_433), serverName: "inner.example.org",
            serverKey: PublicKey(0..<32)!, trust: .pin([UInt8](repeating: 7, count: 32)))
        link.user = UserName("anna")
        link.password = SecretBytes(copying: "sécret word".utf8)
        link.key = KeyPair(privateKey: 32..<64)
        return link
    }()

    private static func text(_ link: AccessLink) -> String {
        link.text.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    @Test func linksReadAsWritten() throws {
        var link = Self.whole
        #expect(try AccessLink(Self.text(link).utf8) == link && link.hasSecret)
        link.password = nil
        link.key = nil
        link.serverName = nil
        link.trust = .authorities([[1, 2, 3], [UInt8](repeating: 9, count: 700)])
        link.server = HostAndPort(host: .address(.v6(.init(high: 0x2001_0db8 << 32, low: 1))), port: 443)
        #expect(try AccessLink(Self.text(link).utf8) == link && !link.hasSecret)
        link.user = nil
        #expect(try AccessLink(Self.text(link).utf8) == link)
    }

    /// docs/SHARING.md has the same line.
    @Test func theExampleOfTheDocument() throws {
        var link = Self.whole
        link.serverName = nil
        link.password = SecretBytes(copying: "correct horse".utf8)
        link.key = nil
        #expect(
            Self.text(link)
                == "penstock://v1#AQAUdnBuLmV4YW1wbGUub3JnOjQ0MzMDACAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHwQAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBgAEYW5uYQcADWNvcnJlY3QgaG9yc2XGB1EF"
        )
    }

    @Test func mailProgramsBreakLines() throws {
        let text = Self.text(Self.whole)
        let middle = text.index(text.startIndex, offsetBy: 76)
        #expect(try AccessLink(" \(text[..<middle])\r\n  \(text[middle...])\n".utf8) == Self.whole)
    }

    @Test func everyChangeOfACharacterIsFound() {
        let text = Self.text(Self.whole)
        for offset in AccessLink.prefix.count..<text.count {
            var characters = Array(text)
            characters[offset] = characters[offset] == "A" ? "B" : "A"
            let changed = String(characters)
            #expect(throws: AccessLink.Fault.self, "at \(offset)") { try AccessLink(changed.utf8) }
            #expect(throws: AccessLink.Fault.self) { try AccessLink(text.utf8.prefix(offset)) }
        }
    }

    @Test func whatIsNoLink() {
        #expect(throws: AccessLink.Fault.notALink) { try AccessLink("".utf8) }
        #expect(throws: AccessLink.Fault.notALink) { try AccessLink("https://example.org/#x".utf8) }
        #expect(throws: AccessLink.Fault.otherVersion("v2")) { try AccessLink("penstock://v2#AAAA".utf8) }
        #expect(throws: AccessLink.Fault.damaged) { try AccessLink("penstock://v1#".utf8) }
        #expect(throws: AccessLink.Fault.damaged) { try AccessLink("penstock://v1#====".utf8) }
        #expect(throws: AccessLink.Fault.tooLong) {
            try AccessLink((AccessLink.prefix + String(repeating: "A", count: AccessLink.maximumLength)).utf8)
        }
        #expect(throws: AccessLink.Fault.tooLong) { try AccessLink([UInt8](repeating: 32, count: 1 << 20)) }
    }

    @Test func descriptionsKeepTheSecret() {
        for text in ["\(Self.whole)", String(reflecting: Self.whole)] {
            #expect(text == "link to vpn.example.org:4433 for anna")
        }
        var dumped = ""
        dump(Self.whole, to: &dumped)
        #expect(!dumped.contains("word") && !dumped.contains("- 33"))
    }
}
