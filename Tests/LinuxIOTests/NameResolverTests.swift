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
        /// Something that is no answer.
        case nonsense
    }

    let socket: DatagramSocket
    var reply: (_ name: String, _ isIPv6: Bool) -> Reply
    private(set) var questions: [String] = []
    private let receiver: DatagramReceiver

    init(_ loop: EventLoop, _ reply: @escaping (String, Bool) -> Reply) throws {
        self.reply = reply
        socket = try DatagramSocket(source: loopback4)
        receiver = try DatagramReceiver()
        try loop.add(socket.descriptor, self, interest: .readable)
    }

    func ready(_ readiness: Readiness) {
        while socket.receive(with: receiver, { datagram, from in answer(Array(datagram), from) }) {}
    }

    private func answer(_ query: [UInt8], _ from: Endpoint) {
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
        case .silence: return
        case .nonsense: return send([query[0], query[1], 0x81, 0x80, 1, 2, 3], from)
        }
        var bytes = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + question
        for record in records {
            let (data, ttl) = (record.data, record.ttl)
            bytes += [0xC0, 12, 0, isIPv6 ? 28 : 1, 0, 1]
            bytes += [UInt8(ttl >> 24), UInt8(ttl >> 16 & 255), UInt8(ttl >> 8 & 255), UInt8(ttl & 255)]
            bytes += [0, UInt8(data.count)] + data
        }
        send(bytes, from)
    }

    private func send(_ bytes: [UInt8], _ to: Endpoint) {
        _ = bytes.withUnsafeBytes { socket.send($0, segmentSize: 0, to: to) { _ in } }
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
