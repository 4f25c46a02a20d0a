import Primitives
import Testing
import Users

@testable import penstock

@Suite struct AccessLinkTests {
    private static let whole: AccessLink = {
        var link = AccessLink(
            server: HostAndPort(host: .name("vpn.example.org"), port: 4_433), serverName: "inner.example.org",
            serverKey: Array(0..<32), trust: .pin([UInt8](repeating: 7, count: 32)))
        link.user = UserName("anna")
        link.password = "sécret word"
        link.privateKey = Array(32..<64)
        return link
    }()

    @Test func linksReadAsWritten() throws {
        var link = Self.whole
        #expect(try AccessLink(link.text) == link && link.hasSecret)
        link.password = nil
        link.privateKey = nil
        link.serverName = nil
        link.trust = .authorities([[1, 2, 3], [UInt8](repeating: 9, count: 700)])
        link.server = HostAndPort(host: .address(.v6(.init(high: 0x2001_0db8 << 32, low: 1))), port: 443)
        #expect(try AccessLink(link.text) == link && !link.hasSecret)
        link.user = nil
        #expect(try AccessLink(link.text) == link)
    }

    /// docs/SHARING.md has the same line.
    @Test func theExampleOfTheDocument() throws {
        var link = Self.whole
        link.serverName = nil
        link.password = "correct horse"
        link.privateKey = nil
        #expect(
            link.text
                == "penstock://v1#AQAUdnBuLmV4YW1wbGUub3JnOjQ0MzMDACAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHwQAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBgAEYW5uYQcADWNvcnJlY3QgaG9yc2XGB1EF"
        )
    }

    @Test func mailProgramsBreakLines() throws {
        let text = Self.whole.text
        let middle = text.index(text.startIndex, offsetBy: 76)
        #expect(try AccessLink(" \(text[..<middle])\r\n  \(text[middle...])\n") == Self.whole)
    }

    @Test func everyChangeOfACharacterIsFound() {
        let text = Self.whole.text
        for offset in AccessLink.prefix.count..<text.count {
            var characters = Array(text)
            characters[offset] = characters[offset] == "A" ? "B" : "A"
            let changed = String(characters)
            #expect(throws: AccessLink.Fault.self, "at \(offset)") { try AccessLink(changed) }
            #expect(throws: AccessLink.Fault.self) { try AccessLink(String(text.prefix(offset))) }
        }
    }

    @Test func whatIsNoLink() {
        #expect(throws: AccessLink.Fault.notALink) { try AccessLink("") }
        #expect(throws: AccessLink.Fault.notALink) { try AccessLink("https://example.org/#x") }
        #expect(throws: AccessLink.Fault.otherVersion("v2")) { try AccessLink("penstock://v2#AAAA") }
        #expect(throws: AccessLink.Fault.damaged) { try AccessLink("penstock://v1#") }
        #expect(throws: AccessLink.Fault.damaged) { try AccessLink("penstock://v1#====") }
        #expect(throws: AccessLink.Fault.tooLong) {
            try AccessLink(AccessLink.prefix + String(repeating: "A", count: AccessLink.maximumLength))
        }
        #expect(throws: AccessLink.Fault.tooLong) { try AccessLink(String(repeating: " ", count: 1 << 20)) }
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
