import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Whatever is called and whatever comes, in any order: all tables agree with each other, and nothing is left at the end.
struct ConservationTests {
    @Test(arguments: Seeds.upTo(300))
    func anyCallsLeaveTheTablesInAgreement(seed: UInt64) {
        let mess = Mess(seed: seed)
        for _ in 0..<250 { mess.step() }
        mess.end()
        #expect(mess.failures.isEmpty, "seed \(seed): \(mess.failures.prefix(5))")
    }

    @Test func tenThousandFlowsLeaveNothing() {
        let t = Trace()
        var spares = 0
        for number in 0..<10_000 {
            t.source.port = UInt16(1 + number)
            t.flow = nil
            t.natStart = nil
            t.delivered = []
            t.written = 0
            t.app.opens()
            t.app.sends([.fin, .ack], seq: 101, ack: 1, len: 10)
            t.nat.release(t.flow!, 10)
            t.owner.writes(10)
            t.owner.finishes()
            while t.nextPacket() != nil {}
            // Every other application ends with a RST.
            if number % 2 == 0 { t.app.sends(.ack, seq: 112, ack: 12) } else { t.app.sends(.rst, seq: 112) }
            _ = t.takeReports()
            if t.state != nil { spares += 1 }
        }
        #expect(spares == 0)
        t.isOver()
        #expect(t.nat.inconsistencies() == [])
        #expect(t.nat.gauges.sources == 0 && t.nat.gauges.tableBytes < 200 << 10)
        #expect(t.nat.counters.opened == 10_000)
        #expect(t.nat.counters.closed + t.nat.counters.resetByPeer == 10_000)
    }

    /// Ten thousand at once, and then none.
    @Test func tenThousandFlowsAtOnceLeaveNothing() {
        var settings = FlowSettings()
        settings.maximumFlows = 10_000
        let t = Trace(settings: settings)
        for number in 0..<10_000 {
            t.source.port = UInt16(1 + number)
            t.flow = nil
            t.natStart = nil
            t.app.opens()
        }
        #expect(t.nat.flowCount == 10_000 && t.nat.inconsistencies() == [])
        #expect(t.nat.gauges.tableBytes / 10_000 < 2_048)
        t.nat.abortAll()
        while t.nextPacket() != nil {}
        t.isOver()
        #expect(t.nat.inconsistencies() == [] && t.nat.gauges.sources == 0)
    }
}

/// Applications and an owner that do anything.
private final class Mess {
    private var random: SeededRandom
    private let t: Trace
    private var known: [FlowID] = []
    var failures: [String] = []

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        var settings = FlowSettings()
        settings.maximumFlows = .random(in: 1...20, using: &random)
        settings.maximumHalfOpen = .random(in: 1...20, using: &random)
        settings.maximumFlowsPerSource = random.chance(0.5) ? .random(in: 1...8, using: &random) : nil
        settings.evictionIdleTime = .milliseconds(.random(in: 0...5_000, using: &random))
        settings.halfOpenPatience = .milliseconds(.random(in: 0...5_000, using: &random))
        settings.keepaliveIdle = random.chance(0.5) ? .milliseconds(.random(in: 1...10_000, using: &random)) : nil
        settings.keepaliveInterval = .milliseconds(500)
        settings.keepaliveProbes = 2
        settings.userTimeout = random.chance(0.5) ? .milliseconds(.random(in: 500...10_000, using: &random)) : nil
        settings.timeWait = .milliseconds(.random(in: 1...5_000, using: &random))
        settings.receiveWindow = [100, 65_535].randomElement(using: &random)!
        t = Trace(settings: settings, poolBytes: 1 << 20, seed: seed)
        t.isPlain = false
    }

    func step() {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5: packet()
        case 5..<8: call()
        case 8: t.after(.milliseconds(.random(in: 0...3_000, using: &random)))
        default: for _ in 0..<Int.random(in: 1...10, using: &random) { _ = t.nextPacket() }
        }
        if let flow = t.flow, known.last != flow { known.append(flow) }
        failures += t.nat.inconsistencies()
        if t.pool.outstanding > t.pool.limit { failures.append("the pool is beyond its limit") }
    }

    /// A segment of one of a few applications; often one that fits.
    private func packet() {
        t.source = Endpoint(
            "10.0.0.\(Int.random(in: 1...3, using: &random)):\(Int.random(in: 1...10, using: &random))")!
        let fits = t.nat.numbers(between: t.source, and: t.destination)
        let flags: TCPFlags = [.syn, .ack, .ack, .ack, [.fin, .ack], [.rst, .ack]].randomElement(using: &random)!
        let sequence: UInt32
        let acknowledgment: UInt32
        if let fits, random.chance(0.8) {
            sequence = fits.next &+ (random.chance(0.2) ? .random(in: 0...5, using: &random) &- 2 : 0)
            acknowledgment = fits.highest &- (random.chance(0.2) ? .random(in: 0...5, using: &random) : 0)
        } else {
            sequence = .random(in: 1...10_000, using: &random)
            acknowledgment = .random(in: .min ... .max, using: &random)
        }
        let payload = Array(repeating: UInt8(7), count: random.chance(0.5) ? 0 : .random(in: 1...60, using: &random))
        t.appetite = random.chance(0.1) ? 5 : .max
        t.inject(
            t.app.segment(
                flags, sequence: sequence, acknowledgment: flags == .syn ? nil : acknowledgment, payload: payload,
                window: random.chance(0.2) ? 0 : 5_000))
    }

    private func call() {
        guard let id = known.suffix(12).randomElement(using: &random) else { return }
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<5: t.nat.accept(id)
        case 5: t.nat.reject(id, [.refused, .hostUnreachable, .silence].randomElement(using: &random)!)
        case 6: t.nat.abort(id)
        case 7: t.nat.finish(id)
        case 8: t.nat.release(id, .random(in: 0...100, using: &random))
        default:
            let bytes = [UInt8](repeating: 1, count: .random(in: 1...3_000, using: &random))
            _ = t.nat.withSendQueue(id) { queue in bytes.withUnsafeBytes { queue.append($0) } }
        }
    }

    /// Cuts everything, or lets time do it.
    func end() {
        if random.chance(0.5) { t.nat.abortAll() }
        for _ in 0..<10_000 where t.nat.flowCount > 0 {
            while t.nextPacket() != nil {}
            guard let deadline = t.nat.nextDeadline else { break }
            t.now = max(t.now, deadline)
            t.nat.handleTimeout(now: t.now)
            _ = t.takeReports()
        }
        while t.nextPacket() != nil {}
        failures += t.nat.inconsistencies()
        // Without keepalive an idle flow stays.
        if t.nat.settings.keepaliveIdle == nil { t.nat.abortAll() }
        while t.nextPacket() != nil {}
        if t.nat.flowCount > 0 { failures.append("\(t.nat.flowCount) flows are left") }
        if t.pool.outstanding > 0 { failures.append("\(t.pool.outstanding) blocks are left") }
        if t.nat.heldSegmentBytes > 0 { failures.append("held segments are left") }
        if t.nat.gauges.sources > 0 || t.nat.timerCount > 0 { failures.append("sources or timers are left") }
    }
}

extension FlowNAT {
    /// The numbers that the flow between these ends expects.
    func numbers(between source: Endpoint, and destination: Endpoint) -> (next: UInt32, highest: UInt32)? {
        guard let flow = flows.find(FlowAddresses(source: source, destination: destination)) else { return nil }
        return (flow.pointee.nextReceive.rawValue, flow.pointee.highestSent.rawValue)
    }

    /// Where the tables disagree with the flows.
    fileprivate func inconsistencies() -> [String] {
        var problems: [String] = []
        var counts: [FlowList: Int] = [:]
        var usages: [IPAddress: SourceTable.Usage] = [:]
        var timers = 0
        flows.forEach { flow in
            let id = flow.pointee.id
            let expected: FlowList =
                switch flow.pointee.state {
                case .opening, .synReceived: .halfOpen
                case .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck: .active
                case .timeWait: .waiting
                }
            counts[expected, default: 0] += 1
            if lists.list(of: id.slot) != expected { problems.append("\(flow.pointee.state) is in another list") }
            if expected != .waiting {
                usages[flow.pointee.addresses.source.address, default: .init()].flows += 1
                if expected == .halfOpen {
                    usages[flow.pointee.addresses.source.address, default: .init()].halfOpen += 1
                }
            }
            if flow.pointee.scheduled != nil { timers += 1 }
            if flows.find(flow.pointee.addresses) != flow { problems.append("a flow is not found") }
            // Whoever has a deadline is woken for it; changes by the owner are scheduled with the next packet.
            let lifetime = flow.pointee.lifetimeDeadline(settings: rules)
            if !flow.pointee.isReady, let deadline = earliest(flow.pointee.nextDeadline, lifetime),
                (flow.pointee.scheduled ?? Instant(nanoseconds: .max)) > deadline
            {
                problems.append("\(flow.pointee.state) sleeps beyond its deadline")
            }
        }
        for list in FlowList.allCases where lists.count(of: list) != counts[list, default: 0] {
            problems.append("\(list): \(lists.count(of: list)), not \(counts[list, default: 0])")
        }
        for (address, usage) in usages where sources.usage(of: address) != usage {
            problems.append("\(address): \(sources.usage(of: address)), not \(usage)")
        }
        if sources.count != usages.count { problems.append("\(sources.count) sources, not \(usages.count)") }
        if deadlines.count != timers { problems.append("\(deadlines.count) timers, not \(timers)") }
        if flows.count > settings.maximumFlows { problems.append("\(flows.count) flows") }
        if lists.count(of: .halfOpen) > settings.maximumHalfOpen { problems.append("too many are half-open") }
        return problems
    }
}
