import Primitives
import Testing

@testable import LinuxIO

/// A name server on loopback: it answers each question with what the test says, or not at all.
private final class NameServer: EventHandler {
    struct Record {
        /// RDATA of the question's type.
        var data: [UInt8]
        /// Seconds.
        var ttl: UInt32

        init(_ data: [UInt8], ttl: UInt32) {
            self.data = data
            self.ttl = ttl
        }
    }

    enum Reply {
        case records([Record])
        /// RFC 1035, section 4.1.1: 0 with no records, or 2 (server failure), 3 (no such name).
        case code(UInt8)
        case silence
        /// Nothing but that the answer is too long for a datagram (TC).
        case truncated
        /// Something that is no answer.
        case nonsense
    }

    let socket: DatagramSocket
    var reply: (_ name: String, _ isIPv6: Bool) -> Reply
    private(set) var questions: [String] = []
    /// Where each came from.
    private(set) var askers: [IPAddress] = []
    private let receiver: DatagramReceiver

    init(_ loop: EventLoop, at address: IPAddress = loopback4, _ reply: @escaping (String, Bool) -> Reply) throws {
        self.reply = reply
        socket = try DatagramSocket(source: address)
        receiver = try DatagramReceiver()
        try loop.add(socket.descriptor, self, interest: .readable)
    }

    func ready(_ readiness: Readiness) {
        while socket.receive(with: receiver, { datagram, from in answer(Array(datagram), from) }) {}
    }

    private func answer(_ query: [UInt8], _ from: Endpoint) {
        askers.append(from.address)
        if let bytes = answer(to: query) { send(bytes, from) }
    }

    /// What is said to a question, by datagram or TCP; nil for silence.
    func answer(to query: [UInt8]) -> [UInt8]? {
        var at = 12
        var labels: [String] = []
        while query[at] != 0 {
            labels.append(String(decoding: query[(at + 1)...(at + Int(query[at]))], as: UTF8.self))
            at += 1 + Int(query[at])
        }
        let question = Array(query[12..<(at + 5)])
        let isIPv6 = query[at + 2] == 28
        let name = labels.joined(separator: ".")
        questions.append("\(name) \(isIPv6 ? "AAAA" : "A")")
        var code: UInt8 = 0
        var records: [Record] = []
        switch reply(name, isIPv6) {
        case .records(let list): records = list
        case .code(let number): code = number
        case .silence: return nil
        case .truncated: return [query[0], query[1], 0x83, 0x80, 0, 1, 0, 0, 0, 0, 0, 0] + question
        case .nonsense: return [query[0], query[1], 0x81, 0x80, 1, 2, 3]
        }
        var bytes = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + question
        for record in records {
            let (data, ttl) = (record.data, record.ttl)
            bytes += [0xC0, 12, 0, isIPv6 ? 28 : 1, 0, 1]
            bytes += [UInt8(ttl >> 24), UInt8(ttl >> 16 & 255), UInt8(ttl >> 8 & 255), UInt8(ttl & 255)]
            bytes += [0, UInt8(data.count)] + data
        }
        return bytes
    }

    private func send(_ bytes: [UInt8], _ to: Endpoint) {
        _ = bytes.withUnsafeBytes { socket.send($0, segmentSize: 0, to: to) { _ in } }
    }
}

/// The same name server over TCP (RFC 7766): each message behind its length, here cut into single bytes.
private final class StreamNameServer: EventHandler {
    private final class Connection: EventHandler {
        let socket: TCPSocket
        let answer: ([UInt8]) -> [UInt8]?
        private var received: [UInt8] = []

        init(_ socket: TCPSocket, _ answer: @escaping ([UInt8]) -> [UInt8]?) {
            self.socket = socket
            self.answer = answer
        }

        func ready(_ readiness: Readiness) {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            while case .bytes(let count) = buffer.withUnsafeMutableBytes({ socket.read(into: $0) }) {
                received += buffer[..<count]
            }
            guard received.count >= 2 else { return }
            let length = Int(received[0]) << 8 | Int(received[1])
            guard received.count >= 2 + length, let reply = answer(Array(received[2..<(2 + length)])) else { return }
            received.removeFirst(2 + length)
            for byte in [UInt8(reply.count >> 8), UInt8(reply.count & 255)] + reply { _ = socket.send([byte]) }
        }
    }

    private let listener: TCPListener
    private let loop: EventLoop
    private let answer: ([UInt8]) -> [UInt8]?
    private(set) var connections = 0

    init(_ loop: EventLoop, at endpoint: Endpoint, _ answer: @escaping ([UInt8]) -> [UInt8]?) throws {
        listener = try TCPListener(bind: endpoint)
        self.loop = loop
        self.answer = answer
        try loop.add(listener.descriptor, self, interest: .readable)
    }

    func ready(_ readiness: Readiness) {
        while let (socket, _) = try? listener.accept() {
            connections += 1
            try? loop.add(socket.descriptor, Connection(socket, answer))
        }
    }
}

@Suite struct NameResolverTests {
    private static let four: [UInt8] = [203, 0, 113, 9]
    private static let six: [UInt8] = [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [9]

    /// Runs the loop until as many answers have come, and gives them in the order of the queries.
    private static func run(
        _ loop: EventLoop, _ resolver: NameResolver, _ count: Int, _ ask: () -> Void
    ) throws -> [NameResolver.Answer] {
        var answers: [UInt64: NameResolver.Answer] = [:]
        resolver.onAnswer = { answers[$0] = $1 }
        ask()
        let giveUp = MonotonicClock.now + .seconds(20)
        loop.run {
            let now = MonotonicClock.now
            if let deadline = resolver.nextDeadline, deadline <= now { resolver.handleTimeout() }
            if answers.count == count || now > giveUp { loop.stop() }
            return earliest(resolver.nextDeadline, giveUp)
        }
        #expect(answers.count == count && resolver.pending == 0 && resolver.nextDeadline == nil)
        return answers.sorted { $0.key < $1.key }.map(\.value)
    }

    @Test func addressesComeWithTheirShortestLifetime() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { _, isIPv6 in
            .records(
                isIPv6
                    ? [.init(Self.six, ttl: 300)] : [.init(Self.four, ttl: 60), .init([203, 0, 113, 10], ttl: 20)])
        }
        let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
        let answers = try Self.run(loop, resolver, 2) {
            resolver.ask("host.example", .ipv4, query: 1)
            resolver.ask("host.example", .ipv6, query: 2)
        }
        let four = ["203.0.113.9", "203.0.113.10"].map { IPAddress($0)! }
        #expect(answers[0] == .addresses(four, lifetime: .seconds(20)))
        #expect(answers[1] == .addresses([IPAddress("2001:db8::9")!], lifetime: .seconds(300)))
        #expect(server.questions.sorted() == ["host.example A", "host.example AAAA"])
    }

    /// Neither a search list nor a hosts file is asked, not even for names that every machine knows.
    @Test func theNameIsAskedAsItIs() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { _, _ in .code(3) }
        let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
        let answers = try Self.run(loop, resolver, 2) {
            resolver.ask("localhost", .ipv4, query: 1)
            resolver.ask("single", .ipv6, query: 2)
        }
        #expect(answers == [.none, .none])
        #expect(server.questions.sorted() == ["localhost A", "single AAAA"])
    }

    @Test func noSuchNameNoAddressAndNoServerAreToldApart() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { name, _ in
            switch name {
            case "missing.example": .code(3)
            case "empty.example": .records([])
            case "broken.example": .code(2)
            case "odd.example": .nonsense
            default: .silence
            }
        }
        let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .milliseconds(100))
        let answers = try Self.run(loop, resolver, 5) {
            for (index, name) in ["missing", "empty", "broken", "odd", "silent"].enumerated() {
                resolver.ask("\(name).example", .ipv4, query: UInt64(index))
            }
        }
        #expect(answers == [.none, .none, .failed, .failed, .failed])
        #expect(server.questions.count { $0 == "silent.example A" } == Int(NameResolver.tries))
    }

    @Test func manyQuestionsAtOnceFindTheirAnswers() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { name, _ in
            let number = UInt8(name.dropFirst().prefix { $0 != "." }) ?? 0
            return .records([.init([192, 0, 2, number], ttl: 60)])
        }
        let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
        let answers = try Self.run(loop, resolver, 200) {
            for number in 0..<200 { resolver.ask("n\(number).example", .ipv4, query: UInt64(number)) }
        }
        for (number, answer) in answers.enumerated() {
            #expect(answer == .addresses([IPAddress("192.0.2.\(number)")!], lifetime: .seconds(60)))
        }
    }

    @Test func aNameTooLongForTheDNSHasNoAddress() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { _, _ in .code(3) }
        let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
        let long = (0..<4).map { _ in String(repeating: "a", count: 63) }.joined(separator: ".")
        let answers = try Self.run(loop, resolver, 1) { resolver.ask(long, .ipv4, query: 1) }
        #expect(answers == [.none] && server.questions.isEmpty)
    }

    /// An answer that is too long for a datagram is asked for again over TCP (RFC 7766).
    @Test func aTruncatedAnswerComesOverTCP() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { _, _ in .truncated }
        let all = try NameServer(loop) { _, _ in
            .records((1...30).map { .init([192, 0, 2, UInt8($0)], ttl: 60) })
        }
        let stream = try StreamNameServer(loop, at: server.socket.local) { all.answer(to: $0) }
        let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
        let answers = try Self.run(loop, resolver, 1) { resolver.ask("long.example", .ipv4, query: 1) }
        let addresses = (1...30).map { IPAddress("192.0.2.\($0)")! }
        #expect(answers == [.addresses(addresses, lifetime: .seconds(60))])
        #expect(server.questions == ["long.example A"] && all.questions == ["long.example A"])
        #expect(stream.connections == 1)
    }

    /// Questions come from the address that dials come from.
    @Test func questionsComeFromTheSource() throws {
        let seen: [[IPAddress]]? = try inNamespace {
            _ = try shell("ip link add d0 type veth peer name e0 && ip link set e0 up && ip link set d0 up")
            for address in ["10.9.0.1/24", "10.9.0.2/24", "fd09::1/64", "fd09::2/64"] {
                _ = try shell("ip address add \(address) dev d0 nodad")
            }
            let loop = try EventLoop()
            return try ["10.9.0.1", "fd09::1"].map { text in
                let server = try NameServer(loop, at: IPAddress(text)!) { _, _ in .code(3) }
                let resolver = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
                _ = try Self.run(loop, resolver, 1) { resolver.ask("a.example", .ipv4, query: 1) }
                guard case .v4(let four)? = IPAddress("10.9.0.2"), case .v6(let six)? = IPAddress("fd09::2") else {
                    throw Failed("no addresses")
                }
                resolver.setSource(ipv4: four, ipv6: six, interface: nil)
                _ = try Self.run(loop, resolver, 1) { resolver.ask("b.example", .ipv4, query: 2) }
                return server.askers
            }
        }
        guard let seen else { return }
        #expect(seen == [["10.9.0.1", "10.9.0.2"], ["fd09::1", "fd09::2"]].map { $0.map { IPAddress($0)! } })
    }

    /// They leave by the interface that dials leave by, whatever the routes say, and not at all where it is missing. A name server on this
    /// machine is asked over loopback.
    @Test func questionsLeaveByTheInterface() throws {
        struct Seen: Sendable {
            var sent: [String: Int] = [:]
            var withoutInterface: [NameResolver.Answer] = []
            var local: [NameResolver.Answer] = []
        }
        let result: Seen? = try inNamespace {
            for (name, metric) in [("d0", 20), ("d1", 10)] {
                // Without IPv6, which would have things of its own to send.
                _ = try shell(
                    "ip link add \(name) type veth peer name \(name)e && ip link set \(name)e addrgenmode none up"
                )
                _ = try shell("ip link set \(name) addrgenmode none up")
                _ = try shell("ip address add 10.\(metric).0.1/24 dev \(name)")
                _ = try shell("ip route add 203.0.113.0/24 dev \(name) metric \(metric)")
                _ = try shell("ip neighbour add 203.0.113.53 lladdr 02:00:00:00:00:01 dev \(name)")
            }
            let loop = try EventLoop()
            let far = Endpoint("203.0.113.53:53")!
            var seen = Seen()
            func sent(_ name: String) throws -> Int {
                let lines = try shell("ip -s link show \(name)").split(separator: "\n")
                guard let head = lines.lastIndex(where: { $0.contains("TX:") }), head + 1 < lines.count else {
                    throw Failed("no figures of \(name)")
                }
                return lines[head + 1].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? -1
            }
            let before = try ["d0": sent("d0"), "d1": sent("d1")]
            let resolver = try NameResolver(loop: loop, servers: [far], timeout: .milliseconds(20))
            resolver.setSource(ipv4: nil, ipv6: nil, interface: "d0")
            _ = try Self.run(loop, resolver, 1) { resolver.ask("a.example", .ipv4, query: 1) }
            for (name, count) in before { seen.sent[name] = try sent(name) - count }
            resolver.setSource(ipv4: nil, ipv6: nil, interface: "missing")
            seen.withoutInterface = try Self.run(loop, resolver, 1) { resolver.ask("a.example", .ipv4, query: 2) }
            for (name, count) in before { seen.sent[name + " then"] = try sent(name) - count }
            let server = try NameServer(loop) { _, _ in .code(3) }
            let near = try NameResolver(loop: loop, servers: [server.socket.local], timeout: .seconds(5))
            near.setSource(ipv4: nil, ipv6: nil, interface: "missing")
            seen.local = try Self.run(loop, near, 1) { near.ask("a.example", .ipv4, query: 3) }
            return seen
        }
        guard let result else { return }
        #expect(result.sent["d0"] ?? 0 >= Int(NameResolver.tries) && result.sent["d1"] == 0, "\(result.sent)")
        #expect(result.sent["d1 then"] == 0 && result.sent["d0 then"] == result.sent["d0"], "\(result.sent)")
        #expect(result.withoutInterface == [.failed] && result.local == [.none])
    }

    /// A resolver that goes takes its sockets out of the loop and forgets its questions.
    @Test func aResolverThatGoesIsSilent() throws {
        let loop = try EventLoop()
        let server = try NameServer(loop) { _, _ in .silence }
        var resolver: NameResolver? = try NameResolver(
            loop: loop, servers: [server.socket.local], timeout: .seconds(5))
        var answered = 0
        resolver?.onAnswer = { _, _ in answered += 1 }
        resolver?.ask("host.example", .ipv4, query: 1)
        loop.turn(2)
        #expect(server.questions.count == 1)
        resolver = nil
        loop.turn(2)
        #expect(answered == 0)
    }
}
