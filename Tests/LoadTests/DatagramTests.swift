import Primitives
import Testing
import Tunnel

@testable import Load

/// Datagrams to a target on a virtual clock, over a line that may lose, repeat or change some.
private final class SimDatagrams: DatagramCarrier {
    final class Channel: DatagramFlowChannel {
        let flow: DatagramFlow
        let target: DatagramTarget
        unowned let world: SimDatagrams
        var isOpen = true

        init(_ flow: DatagramFlow, _ target: DatagramTarget, _ world: SimDatagrams) {
            self.flow = flow
            self.target = target
            self.world = world
        }

        func send(_ bytes: UnsafeRawBufferPointer, size: Int, now: Instant) throws(FlowFailure) -> Int {
            if let limit = world.largest, size > limit { throw .tooLarge }
            for start in stride(from: 0, to: bytes.count, by: size) {
                world.pass(Array(bytes[start..<start + size]), self)
            }
            return bytes.count / size
        }

        func close() { isOpen = false }
    }

    let line: SimTarget
    var largest: Int?
    /// By the number of the datagram, counted from 0.
    var fate: (Int) -> [Change] = { _ in [.arrives] }
    private var number = 0
    private var targets: [UInt16: DatagramTarget] = [:]

    enum Change { case arrives, late(Interval), changed }

    init(_ line: SimTarget) { self.line = line }

    func open(_ flow: DatagramFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any DatagramFlowChannel
    {
        let isEcho = destination.port == SimTarget.first.port
        let target = targets[destination.port] ?? DatagramTarget(isEcho: isEcho, pattern: line.pattern)
        targets[destination.port] = target
        return Channel(flow, target, self)
    }

    fileprivate func pass(_ bytes: [UInt8], _ channel: Channel) {
        let changes = fate(number)
        number += 1
        for change in changes {
            var copy = bytes
            var delay = line.delay
            switch change {
            case .arrives: break
            case .late(let more): delay = delay + more
            case .changed: copy[copy.count - 1] ^= 1
            }
            line.schedule(after: delay) { [line] in
                guard let answer = copy.withUnsafeBytes({ channel.target.receive($0).map { Array($0) } }) else {
                    return
                }
                line.schedule(after: line.delay) {
                    if channel.isOpen { answer.withUnsafeBytes { channel.flow.channelReceived($0, now: line.now) } }
                }
            }
        }
    }
}

@Suite struct DatagramTests {
    let line = SimTarget()

    private func run(
        _ workload: Workload, _ configure: (SimDatagrams) -> Void = { _ in }
    ) throws -> WorkloadResult {
        let datagrams = SimDatagrams(line)
        configure(datagrams)
        let engine = line.engine([WorkloadPlan(workload)], datagrams: datagrams)
        #expect(line.run(engine))
        return try #require(engine.results(now: line.now).first)
    }

    @Test(arguments: [true, false])
    func everythingArrivesOnAGoodLine(_ echo: Bool) throws {
        let result = try run(.udp(flows: 3, rate: 1_000, size: 100, echo: echo))
        let datagrams = try #require(result.datagrams)
        #expect(result.failures == [:])
        #expect(datagrams.sent == 1_000)
        #expect(datagrams.received == 1_000)
        #expect(datagrams.lost == 0)
        #expect(datagrams.duplicated == 0)
        #expect(result.seconds == 1)
        if echo { #expect(try #require(result.latency).p50 >= 1_990) } else { #expect(result.latency == nil) }
    }

    @Test(arguments: [true, false])
    func losses(_ echo: Bool) throws {
        // The sink's report may be lost as well: it is asked for again.
        let result = try run(.udp(flows: 2, rate: 1_000, size: 64, echo: echo)) {
            $0.fate = { $0 % 10 == 3 ? [] : [.arrives] }
        }
        let datagrams = try #require(result.datagrams)
        #expect(datagrams.sent == 1_000)
        #expect(datagrams.lost == 100)
        #expect(result.failures == [:], "losing is what datagrams do")
    }

    @Test func repetitionsAndDisorder() throws {
        let result = try run(.udp(flows: 1, rate: 1_000, size: 64, echo: true)) {
            $0.fate = { number in
                switch number % 10 {
                case 1: [.arrives, .arrives]
                case 5: [.late(.milliseconds(3))]
                default: [.arrives]
                }
            }
        }
        let datagrams = try #require(result.datagrams)
        #expect(datagrams.received == 1_000)
        #expect(datagrams.duplicated == 100)
        #expect((99...100).contains(datagrams.reordered), "the last may be late with nothing after it")
        #expect(datagrams.lost == 0)
    }

    @Test(arguments: [true, false])
    func wrongBytesAreFound(_ echo: Bool) throws {
        let result = try run(.udp(flows: 1, rate: 100, size: 64, echo: echo)) {
            $0.fate = { $0 == 50 ? [.changed] : [.arrives] }
        }
        #expect(result.wrongBytes == 1)
        #expect(result.failures == ["wrong-bytes": 1])
    }

    @Test(arguments: [true, false])
    func silenceIsAFailure(_ echo: Bool) throws {
        let result = try run(.udp(flows: 2, rate: 100, size: 64, echo: echo)) { $0.fate = { _ in [] } }
        #expect(result.failures == ["no-answer": 2])
        #expect(result.datagrams?.lost == 100)
    }

    @Test func tooLargeOnesAreNotSent() throws {
        let result = try run(.udp(flows: 1, rate: 100, size: 9_000, echo: true)) { $0.largest = 1_472 }
        #expect(result.failures == ["too-large": 100])
        #expect(result.datagrams?.sent == 0)
        #expect(result.datagrams?.notSent == 100)
    }

    @Test(arguments: [true, false])
    func aFlowThatIsRefusedBeforeItSentHasFailed(_ echo: Bool) throws {
        let started = line.now
        let result = try run(.udp(flows: 2, rate: 100, size: 9_000, echo: echo)) { $0.largest = 1_472 }
        #expect(result.flows.failed == 2)
        #expect(result.flows.completed == 0)
        #expect(result.failures == ["too-large": 100])
        #expect(line.now - started < .seconds(1) + DatagramWorkload.echoGrace / 2, "an answer was waited for")
    }

    @Test func aHighRateLeavesInBatches() throws {
        let result = try run(.udp(flows: 1, rate: 50_000, size: 1_200, echo: false))
        #expect(result.datagrams?.received == 50_000)
    }

    // MARK: - Parts

    @Test func theWindowKnowsTheLatest() {
        var window = SequenceWindow(size: 128)
        #expect(window.insert(5) == .new(isLate: false))
        #expect(window.insert(5) == .known)
        #expect(window.insert(3) == .new(isLate: true))
        #expect(window.insert(132) == .new(isLate: false))
        #expect(window.insert(5) == .known, "127 before the latest")
        #expect(window.insert(4) == .tooOld, "128 before it")
        #expect(window.insert(131) == .new(isLate: true))
        #expect(window.insert(1_000_000) == .new(isLate: false))
        #expect(window.insert(999_999) == .new(isLate: true))
        #expect(window.insert(132) == .tooOld)
        #expect(window.insert(999_999 - 127) == .tooOld)
        #expect(window.insert(1_000_000 - 127) == .new(isLate: true))
    }

    /// Every flow up to the limit, and one more.
    @Test func aSinkForgetsTheOldest() {
        let sink = DatagramTarget(isEcho: false, pattern: Pattern())
        func give(_ kind: DatagramHeader.Kind, _ identifier: UInt64) -> DatagramHeader? {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: DatagramHeader.byteCount, alignment: 8)
            defer { memory.deallocate() }
            DatagramHeader(kind, identifier: identifier).store(to: memory.baseAddress!)
            return sink.receive(UnsafeRawBufferPointer(memory)).flatMap { DatagramHeader($0) }
        }
        for identifier in 0..<UInt64(DatagramTarget.maximumCounted) { _ = give(.data, identifier) }
        #expect(sink.forgotten == 0)
        #expect(give(.query, 0)?.sequence == 1)
        _ = give(.data, 1 << 40)
        #expect(sink.forgotten == 1)
        #expect(give(.query, 0)?.sequence == 0)
        #expect(give(.query, 1)?.sequence == 1)
        #expect(give(.query, 1 << 40)?.sequence == 1)
    }

    @Test func strangeDatagramsAreNotAnswered() {
        let sink = DatagramTarget(isEcho: false, pattern: Pattern())
        for count in [0, 1, 31, 32, 500] {
            #expect([UInt8](repeating: 0xFF, count: count).withUnsafeBytes { sink.receive($0) } == nil)
        }
        #expect(sink.datagrams == 5)
    }
}
