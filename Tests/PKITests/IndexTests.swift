import Foundation
import PKI
import SimNet
import Testing

@Suite struct IndexTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)

    private func index(_ names: [String]) throws -> CertificateIndex {
        var random = SeededRandom(seed: 1)
        let authority = try CertificateAuthority(name: "A", days: 100, now: now, using: &random)
        var index = CertificateIndex()
        for name in names {
            let issued = try authority.issueClient(name: name, days: 10, now: now, using: &random)
            index.add(.init(issued, kind: .client, names: [name], notAfter: now + 864_000))
        }
        return index
    }

    @Test func isReadBack() throws {
        var index = try index(["a", "b"])
        _ = index.revoke("a", now: now)
        _ = index.nextList(now: now)
        #expect(try CertificateIndex(json: index.json) == index)
    }

    @Test func revokesByNameAndBySerialNumberOnce() throws {
        var index = try index(["a", "a", "b", "c"])
        #expect(index.revoke("a", now: now).count == 2)
        #expect(index.revoke("a", now: now).isEmpty)
        let serial = index.entries[2].serial
        #expect(index.revoke(serial.uppercased(), now: now).map(\.name) == ["b"])
        #expect(index.revoke("nobody", now: now).isEmpty)
        #expect(index.nextList(now: now).revocations.count == 3)
        #expect(index.entries.map { $0.state(now: now) } == [.revoked, .revoked, .revoked, .valid])
        #expect(index.entries[3].state(now: now + 864_001) == .expired)
    }

    @Test func listsAreNumberedAndForgetWhatHasExpired() throws {
        var index = try index(["a"])
        #expect(index.nextList(now: now).number == 1)
        _ = index.revoke("a", now: now)
        #expect(index.nextList(now: now).revocations.map(\.date) == [now])
        let last = index.nextList(now: now + 864_001)
        #expect(last.number == 3 && last.revocations.isEmpty)
    }

    @Test func junkIsRefused() {
        for text in ["", "{}", "[]", "{\"entries\":[{}],\"listNumber\":1}"] {
            #expect(throws: (any Error).self) { try CertificateIndex(json: Array(text.utf8)) }
        }
    }
}
