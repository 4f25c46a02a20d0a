import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Our TCP against itself across a bad network: bytes in are bytes out, in order, exactly once, never more outstanding
/// than the window, and nothing is left.
struct LossySpliceTests {
    @Test(arguments: Seeds.upTo(120))
    func randomTransfersOverABadNetwork(seed: UInt64) {
        let simulation = SpliceSimulation(seed: seed)
        simulation.run()
        simulation.check()
    }

    /// In a few seeds together everything happens that the simulation promises.
    @Test func theNetworkIsReallyBad() {
        var sums = [String: Int]()
        for seed in 0..<12 as Range<UInt64> {
            let simulation = SpliceSimulation(seed: seed)
            simulation.run()
            for link in simulation.ends.map(\.link.counters) {
                sums["lost", default: 0] += link.lost
                sums["duplicated", default: 0] += link.duplicated
                sums["reordered", default: 0] += link.reordered
                sums["corrupted", default: 0] += link.corrupted
            }
            sums["retransmissions", default: 0] += simulation.splice.retransmissions.reduce(0, +)
            for end in simulation.ends { sums["out of order", default: 0] += end.nat.counters.outOfOrder }
        }
        #expect(sums.count == 6 && !sums.values.contains(0), "\(sums)")
    }
}

/// What one seed chooses, and how it went. A class, for what both sides do is the same code.
final class SpliceSimulation {
    /// One `FlowNAT` with its owner.
    final class End {
        var nat: FlowNAT
        let pool: BlockPool
        /// What this end sends travels here.
        var link: SimLink
        var flow: FlowID?
        let count: Int
        var written = 0
        var hasFinished = false
        /// Bytes that arrived here, and those of them not yet released.
        var received = 0
        var kept = 0
        var drained = 0
        var events: [String] = []

        init(settings: FlowSettings, link: SimLink, count: Int, random: inout SeededRandom) {
            pool = BlockPool(byteLimit: 4 << 20)
            nat = FlowNAT(settings: settings, pool: pool, random: &random)
            self.link = link
            self.count = count
        }
    }

    let seed: UInt64
    var random: SeededRandom
    var ends: [End] = []
    var splice: Splice
    var now: Instant
    let buffer = PacketBuffer()
    var failures: [String] = []
    private let usesOffload: Bool

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: seed)
        let conditions = LinkConditions(
            delay: .microseconds(.random(in: 10...50_000, using: &random)),
            jitter: .microseconds([0, 500, 10_000].randomElement(using: &random)!),
            loss: [0, 0.01, 0.05, 0.15].randomElement(using: &random)!,
            duplication: [0, 0.02, 0.1].randomElement(using: &random)!,
            reordering: [0, 0.05, 0.2].randomElement(using: &random)!,
            corruption: [0, 0, 0.02].randomElement(using: &random)!,
            rate: [nil, 20_000_000].randomElement(using: &random)!, queueLimit: 30_000)
        usesOffload = conditions.corruption == 0 && random.chance(0.5)
        now = Instant(nanoseconds: .random(in: 1...20_000_000_000_000, using: &random))
        var windows: [Int] = []
        for i in 0...1 {
            var settings = FlowSettings()
            // The travelling packets carry no virtio header: both ends have it or neither.
            settings.offload = usesOffload
            settings.receiveWindow = [2_000, 20_000, 65_535, 300_000, 1 << 20].randomElement(using: &random)!
            settings.maximumSendRecords = [4, 32, 1_024].randomElement(using: &random)!
            settings.timeWait = .seconds(600)
            windows.append(settings.receiveWindow)
            ends.append(
                End(
                    settings: settings, link: SimLink(conditions, seed: seed &+ UInt64(1_000 + i)),
                    count: .random(in: 0...150_000, using: &random), random: &random))
        }
        let isIPv4 = random.chance(0.5)
        func side(_ i: Int) -> Splice.Side {
            var shift: UInt8 = 0
            while windows[i] >> Int(shift) > 0xFFFF { shift += 1 }
            return Splice.Side(
                application: Endpoint(isIPv4 ? "10.0.0.\(i + 2):40000" : "[fd00::\(i + 2)]:40000")!,
                destination: Endpoint(isIPv4 ? "192.0.2.\(i + 1):443" : "[2001:db8::\(i + 1)]:443")!, windowScale: shift
            )
        }
        splice = Splice(side(0), side(1), seed: seed &+ 3_000)
        let segment: UInt16 = [200, 536, 1_400].randomElement(using: &random)!
        let (stamps, sack) = (random.chance(0.5), random.chance(0.8))
        self.random = random
        for i in 0...1 {
            handle(
                splice.openingPacket(for: i, maximumSegmentSize: segment, timestamps: stamps, sackPermitted: sack),
                at: i)
            takeEvents(ends[i])
            ends[i].nat.accept(ends[i].flow!)
            while ends[i].nat.nextPacket(into: buffer, now: now) {
                if !splice.takeAnswer(buffer.flattened(), from: i) { failures.append("no SYN-ACK") }
            }
        }
        for i in 0...1 {
            guard let packet = splice.closingPacket(for: i) else {
                failures.append("no handshake")
                continue
            }
            handle(packet, at: i)
        }
    }

    var isOver: Bool { ends.allSatisfy { $0.nat.activeFlowCount == 0 && $0.link.isEmpty } }

    func run() {
        let end = now + .seconds(4 * 3_600)
        while !isOver, now < end, failures.isEmpty {
            for i in 0...1 { act(ends[i]) }
            for i in 0...1 { flush(i) }
            var next: Instant?
            for end in ends {
                next = earliest(next, earliest(end.link.nextArrival, end.nat.nextDeadline))
                if end.written < end.count || end.kept > 0 || !end.hasFinished {
                    next = earliest(next, now + .milliseconds(.random(in: 1...20, using: &random)))
                }
            }
            guard let next else { break }
            now = max(now, next)
            for i in 0...1 {
                while let packet = ends[1 - i].link.receive(now: now) {
                    splice.noteArrival(packet, at: i, isTrusted: usesOffload)
                    handle(packet, at: i)
                }
                ends[i].nat.handleTimeout(now: now)
                takeEvents(ends[i])
                checkLimits(ends[i])
            }
        }
    }

    private func act(_ end: End) {
        guard let flow = end.flow, end.nat.state(of: flow) != nil else { return }
        if end.written < end.count {
            let count = min(end.count - end.written, .random(in: 1...60_000, using: &random))
            let bytes = (end.written..<end.written + count).map(Trace.pattern)
            end.written += end.nat.withSendQueue(flow) { queue in bytes.withUnsafeBytes { queue.append($0) } } ?? 0
        } else if !end.hasFinished, random.chance(0.2) {
            end.nat.finish(flow)
            end.hasFinished = true
        }
        if end.kept > 0, random.chance(0.5) {
            let count = Int.random(in: 1...end.kept, using: &random)
            end.kept -= count
            end.nat.release(flow, count)
        }
    }

    private func flush(_ i: Int) {
        while ends[i].nat.nextPacket(into: buffer, now: now) {
            guard let packet = splice.translate(buffer.flattened(), header: buffer.offload, from: i) else { continue }
            ends[i].link.send(packet, now: now)
        }
    }

    private func handle(_ packet: [UInt8], at i: Int) {
        let end = ends[i]
        // The numbers are all that counts; a partial checksum needs no more than the word that it is one.
        let header = usesOffload ? VirtioHeader(flags: VirtioHeader.dataValid) : .none
        let appetite = random.chance(0.02) ? Int.random(in: 0...500, using: &random) : .max
        var taken = 0
        packet.withUnsafeBytes { bytes in
            end.nat.handle(bytes, offload: header, now: now) { _, bytes in
                let count = min(bytes.count, appetite - taken)
                for byte in bytes[..<count] {
                    if byte != Trace.pattern(end.received) { failures.append("byte \(end.received) is wrong at \(i)") }
                    end.received += 1
                }
                taken += count
                return count
            }
        }
        end.kept += taken
        takeEvents(end)
    }

    private func takeEvents(_ end: End) {
        while let event = end.nat.nextEvent() {
            switch event {
            case .connect(let id, _): end.flow = id
            case .established: end.events.append("established")
            case .finished: end.events.append("finished")
            case .drained(_, let count): end.drained += count
            case .reset: end.events.append("reset")
            case .closed: end.events.append("closed")
            case .associationEnded, .datagramRefused: failures.append("an event of UDP: \(event)")
            }
        }
    }

    private func checkLimits(_ end: End) {
        let settings = end.nat.settings
        if end.kept >= settings.receiveWindow + 32 { failures.append("\(end.kept) bytes beyond the receive window") }
        if end.pool.outstanding > end.pool.limit { failures.append("the pool is beyond its limit") }
        if end.nat.heldSegmentBytes > settings.maximumHeldBytes { failures.append("too many held bytes") }
        if end.nat.sendRecordCount > 2 * settings.maximumSendRecords + 2 {
            failures.append("\(end.nat.sendRecordCount) send records")
        }
        if end.drained > end.written { failures.append("more drained than written") }
    }

    func check() {
        // A duplicate that comes last of all is answered with a RST.
        for end in ends { while end.nat.nextPacket(into: buffer, now: now) {} }
        let context = "seed \(seed), at \(now.nanoseconds), \(ends.map(\.events))"
        #expect(failures == [], "\(context)")
        #expect(splice.violations == [], "\(context)")
        #expect(isOver, "the flow hangs: \(context), \(ends.map(\.received)) of \(ends.map(\.count))")
        #expect(ends[0].received == ends[1].count && ends[1].received == ends[0].count, "\(context)")
        for end in ends {
            #expect(end.events == ["established", "finished", "closed"], "\(context)")
            #expect(end.pool.outstanding == 0 && end.nat.sendRecordCount == 0, "\(context)")
            #expect(end.nat.heldSegmentBytes == 0, "\(context)")
        }
    }
}
