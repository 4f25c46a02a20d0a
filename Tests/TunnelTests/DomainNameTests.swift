import Primitives
import Testing

@testable import Tunnel

@Suite struct DomainNameTests {
    @Test(arguments: [
        ("Example.ORG", "example.org"), ("example.org.", "example.org"), ("LOCALHOST", "localhost"),
        ("a-b_c.d", "a-b_c.d"),
        ("3com.com", "3com.com"), ("1.2.3.4.com", "1.2.3.4.com"), ("0xyz", "0xyz"),
    ])
    func oneSpelling(_ given: String, _ kept: String) throws {
        #expect(try DomainName(given).text == kept)
        #expect(try DomainName(kept).text == kept)
    }

    @Test(arguments: [
        ("", DomainNameError.empty), (".", .empty), ("..", .badLabel), ("a..b", .badLabel), (".a", .badLabel),
        ("a b", .badCharacter), ("a\0b", .badCharacter), ("пример.рф", .badCharacter), ("a/b", .badCharacter),
        ("a:80", .badCharacter), ("[::1]", .badCharacter), ("%00", .badCharacter),
        ("127.1", .numeric), ("1", .numeric), ("0x7f.0x1", .numeric), ("0X7F000001", .numeric), ("127.0.0.1", .numeric),
        ("127.0.0.1.", .numeric), ("0x", .numeric), ("a.0777", .numeric),
    ])
    func refused(_ text: String, _ error: DomainNameError) {
        #expect(throws: error) { try DomainName(text) }
    }

    @Test func lengthLimits() throws {
        let label = String(repeating: "a", count: 63)
        #expect(try DomainName("\(label).b").text.utf8.count == 65)
        #expect(throws: DomainNameError.badLabel) { try DomainName("\(label)a.b") }
        let longest = [label, label, label, label].joined(separator: ".")
        #expect(longest.utf8.count == DomainName.maximumSize)
        let request = FlowRequest(.connect, to: try DestinationAddress(host: longest, port: 65_535))
        #expect(request.encode().count == 3 + 1 + 1 + 255 + 2)
        #expect(try FlowRequest(parsing: request.encode()) == request)
        #expect(throws: DomainNameError.tooLong) { try DomainName(longest + ".") }
    }

    @Test func addressesInTextBecomeAddresses() throws {
        #expect(try DestinationAddress(host: "192.0.2.1", port: 5) == .endpoint(Endpoint("192.0.2.1:5")!))
        #expect(try DestinationAddress(host: "2001:db8::1", port: 5) == .endpoint(Endpoint("[2001:db8::1]:5")!))
        #expect(try DestinationAddress(host: "Host.test", port: 5) == .name(DomainName("host.test"), port: 5))
        #expect(try DestinationAddress(host: "Host.test", port: 5).port == 5)
        #expect(throws: DomainNameError.numeric) { try DestinationAddress(host: "192.0.2.01", port: 5) }
    }

    @Test func badNamesOnTheWire() {
        #expect(throws: MessageError.badName(.empty)) { try FlowRequest(parsing: [2, 1, 0, 3, 0, 0, 80]) }
        #expect(throws: MessageError.badName(.badCharacter)) { try FlowRequest(parsing: [2, 1, 0, 3, 1, 0xFF, 0, 80]) }
        #expect(throws: MessageError.badName(.numeric)) {
            try FlowRequest(parsing: [2, 1, 0, 3, 9] + Array("127.0.0.1".utf8) + [0, 80])
        }
    }
}
