import Foundation
import Primitives
import Sealing
import Testing

@testable import Tunnel

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Every message: its exact bytes, and the same message back from them.
@Suite struct MessageTests {
    /// The messages among the vectors of docs/PROTOCOL.md.
    @Test func protocolVectors() throws {
        let request = FlowRequest(.connect, to: try DestinationAddress(host: "example.org", port: 443))
        let bound = try #require(Endpoint("192.0.2.1:40000"))
        let vectors: [(bytes: [UInt8], text: String)] = [
            (Hello(software: "penstock/0.2.0").encode(), "020e70656e73746f636b2f302e322e300000"),
            (
                Hello(
                    software: "penstock/0.2.0",
                    user: UserLogin(name: "alice", password: SecretBytes(copying: Array("passw0rd".utf8)))
                ).encode(), "020e70656e73746f636b2f302e322e3005616c696365087061737377307264"
            ),
            (request.encode(), "020100030b6578616d706c652e6f726701bb"),
            (FlowReply(.succeeded, bound: bound).encode(), "02000001c00002019c40"),
            (
                Welcome(maximumFlows: 4_096, software: "penstock/0.2.0").encode(),
                "0002000010000e70656e73746f636b2f302e322e30"
            ),
            (ControlMessage.ping(1).encode(), "010000000000000001"),
            (ControlMessage.pong(2).encode(), "020000000000000002"),
            (ControlMessage.drain(reason: "upgrade").encode(), "030775706772616465"),
            (
                ControlMessage.kick(code: TunnelErrorCode.kicked.rawValue, reason: "bye").encode(),
                "04000000000000010903627965"
            ),
            (ControlMessage.denied(.wrongCredentials).encode(), "050100000000"),
            (ControlMessage.denied(.tryLater(seconds: 60)).encode(), "05060000003c"),
            (ControlMessage.rekey([0xAA, 0xBB]).encode(), "060002aabb"),
            (ControlMessage.rekeyAnswer([0xCC]).encode(), "070001cc"),
            (ControlMessage.rekeyDone.encode(), "08"),
        ]
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let document = try String(contentsOf: root.appendingPathComponent("docs/PROTOCOL.md"), encoding: .utf8)
        for vector in vectors {
            #expect(hex(vector.bytes) == vector.text)
            #expect(document.contains(vector.text))
        }
    }

    static let destinations: [DestinationAddress] = [
        .endpoint(Endpoint("0.0.0.0:0")!), .endpoint(Endpoint("203.0.113.255:65535")!),
        .endpoint(Endpoint("[2001:db8::1]:53")!), .endpoint(Endpoint("[::]:1")!),
    ]

    @Test(arguments: FlowCommand.allCases, destinations)
    func requestsWithAddresses(command: FlowCommand, destination: DestinationAddress) throws {
        let request = FlowRequest(command, to: destination, flags: FlowFlags(rawValue: 0xA5))
        #expect(try FlowRequest(parsing: request.encode()) == request)
    }

    @Test(arguments: [
        "a", "localhost", "_sip._tcp.example.org", "xn--80akhbyknj4f.xn--p1ai", "1.2.3.4.in-addr.arpa", "-x.y",
    ])
    func requestsWithNames(_ host: String) throws {
        let request = FlowRequest(.connect, to: try DestinationAddress(host: host, port: 80))
        #expect(request.destination.description == "\(host):80")
        #expect(try FlowRequest(parsing: request.encode()) == request)
    }

    @Test(arguments: FlowReplyCode.allCases)
    func replies(_ code: FlowReplyCode) throws {
        for bound in [Endpoint.unspecified, Endpoint("[2001:db8::7]:9")!] {
            let reply = FlowReply(code, detail: 111, bound: bound)
            #expect(try FlowReply(parsing: reply.encode()) == reply)
        }
    }

    @Test func helloAndWelcome() throws {
        for software in ["", "penstock/1.2.3 (Debian 12)", "ключ 鍵", String(repeating: "x", count: 255)] {
            let hello = Hello(software: software)
            #expect(hello.software == software)
            #expect(try Hello(parsing: hello.encode()) == hello)
            let user = UserLogin(name: "ключ 鍵", password: SecretBytes(copying: [UInt8](0...254)))
            #expect(try Hello(parsing: Hello(software: software, user: user).encode()).user == user)
            let welcome = Welcome(maximumFlows: .max, software: software)
            #expect(try Welcome(parsing: welcome.encode()) == welcome)
            #expect(try LoginAnswer(parsing: welcome.encode()) == .welcome(welcome))
        }
        let denied = ControlMessage.denied(.quotaSpent).encode()
        #expect(try LoginAnswer(parsing: denied) == .denied(.quotaSpent))
        #expect(throws: MessageError.unknownType(1)) { try LoginAnswer(parsing: ControlMessage.ping(1).encode()) }
    }

    @Test func namesAndPasswordsThatCannotBeSaid() {
        let password = SecretBytes(copying: [1])
        #expect(UserLogin(name: "", password: password) == nil)
        #expect(UserLogin(name: "a\nb", password: password) == nil)
        #expect(UserLogin(name: String(repeating: "x", count: 256), password: password) == nil)
        #expect(UserLogin(name: "a", password: SecretBytes(copying: [UInt8](repeating: 1, count: 256))) == nil)
        #expect(UserLogin(name: "a", password: SecretBytes(copying: [])) != nil)
    }

    @Test func passwordsDoNotPrint() {
        let hello = Hello(
            software: "x", user: UserLogin(name: "alice", password: SecretBytes(copying: Array("passw0rd".utf8))))
        var dumped = ""
        dump(hello, to: &dumped)
        #expect(!"\(hello) \(dumped)".contains("passw0rd") && !dumped.contains("112"))
    }

    @Test(arguments: [
        LoginRefusal.wrongCredentials, .expired, .disabled, .tooManySessions, .quotaSpent, .tryLater(seconds: 7),
        .unknown(200),
    ])
    func everyRefusalSaysWhatToDo(_ refusal: LoginRefusal) {
        #expect(refusal.description.count > 20)
        #expect(LoginRefusal(code: refusal.code, seconds: refusal.seconds) == refusal)
    }

    @Test(arguments: [
        ControlMessage.ping(0), .ping(.max), .pong(0x0102_0304_0506_0708), .drain(reason: ""),
        .denied(.wrongCredentials), .denied(.expired), .denied(.disabled), .denied(.tooManySessions),
        .denied(.quotaSpent), .denied(.tryLater(seconds: .max)), .denied(.unknown(99)),
        .rekey([UInt8](repeating: 5, count: 96)), .rekeyAnswer([]), .rekeyDone,
        .drain(reason: "new version"), .kick(code: 0x109, reason: "until tomorrow"), .kick(code: .max, reason: ""),
    ])
    func controlMessages(_ message: ControlMessage) throws {
        #expect(try ControlMessage(parsing: message.encode()) == message)
    }

    @Test func textsAreCutBetweenCharactersAndCleaned() throws {
        // Four bytes each: 63 of them and three bytes more would be 255.
        let long = String(repeating: "🚰", count: 64)
        #expect(Hello(software: long).software == String(repeating: "🚰", count: 63))
        #expect(Hello(software: "a\nb\u{1b}[31mc\u{7f}\u{85}\u{2028}").software == "ab[31mc")
        let drain = ControlMessage.drain(reason: long + "\n")
        #expect(try ControlMessage(parsing: drain.encode()) == .drain(reason: String(repeating: "🚰", count: 63)))
    }

    @Test func laterFieldsAreIgnored() throws {
        let more: [UInt8] = [1, 2, 3]
        for destination in Self.destinations + [try DestinationAddress(host: "example.org", port: 1)] {
            let request = FlowRequest(.connect, to: destination)
            #expect(try FlowRequest(parsing: request.encode() + more) == request)
        }
        #expect(try FlowReply(parsing: FlowReply(.notAllowed).encode() + more) == FlowReply(.notAllowed))
        #expect(try Hello(parsing: Hello(software: "x").encode() + more) == Hello(software: "x"))
        #expect(try ControlMessage(parsing: ControlMessage.ping(5).encode() + more) == .ping(5))
    }
}
