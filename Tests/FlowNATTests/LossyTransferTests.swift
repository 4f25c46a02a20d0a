import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// One application's TCP and a `FlowNAT` across a bad network: bytes in are bytes out, in order, exactly once, and
/// nothing is left.
struct LossyTransferTests {
    /// One packet in five is damaged, in either direction: the checksums find every single bit.
    @Test(arguments: Seeds.upTo(30))
    func damagedPacketsNeverBecomeWrongBytes(seed: UInt64) {
        let simulation = LossySimulation(seed: seed, corruption: 0.2)
        simulation.run()
        simulation.check()
        let refused = simulation.nat.counters.badChecksum + simulation.nat.counters.malformed
        #expect(simulation.up.counters.corrupted < 5 || refused > 0, "seed \(seed)")
    }

    @Test(arguments: LossySimulation.seeds)
    func randomCallsOverABadNetwork(seed: UInt64) {
        let simulation = LossySimulation(seed: seed)
        simulation.run()
        simulation.check()
    }

    /// The simulation is as bad as it says: in a few seeds together, everything happens in both directions.
    @Test func theNetworkIsReallyBad() {
        var sums = [String: Int]()
        for seed in 0..<16 as Range<UInt64> {
            let simulation = LossySimulation(seed: seed)
            simulation.run()
            for (way, link) in [("up", simulation.up.counters), ("down", simulation.down.counters)] {
                sums["\(way) lost", default: 0] += link.lost
                sums["\(way) duplicated", default: 0] += link.duplicated
                sums["\(way) reordered", default: 0] += link.reordered
                sums["\(way) corrupted", default: 0] += link.corrupted
            }
            let counters = simulation.nat.counters
            sums["retransmissions", default: 0] += counters.retransmissions
            sums["out of order", default: 0] += counters.outOfOrder
            sums["duplicates", default: 0] += counters.duplicates
            sums["bad checksums", default: 0] += counters.badChecksum
        }
        #expect(sums.count == 12 && !sums.values.contains(0), "\(sums)")
    }
}

/// What one seed chooses, and how it went.
final class LossySimulation {
    static let seeds = Seeds.upTo(240)

    let seed: UInt64
    var random: SeededRandom
    let pool = BlockPool(byteLimit: 2 << 20)
    var nat: FlowNAT
    let peer: SimTCPPeer
    /// How many packets that are ECN-capable are marked on their way.
    let marking: Double
    var up: SimLink
    var down: SimLink
    var now: Instant
    let buffer = PacketBuffer()

    var flow: FlowID?
    /// Bytes that each side shall send, and how far it is.
    let uploadCount: Int
    let downloadCount: Int
    var uploadWritten = 0
    var downloadWritten = 0
    var uploaded = 0
    var downloaded = 0
    var drained = 0
    /// Delivered to the owner and not yet released.
    var kept = 0
    var hasFinished = false
    var events: [String] = []
    var failures: [String] = []
    /// Distorts the peer's ACKs on their last step.
    var mischief: Mischief?
    /// Nil for an orderly close.
    var abruptEnd: AbruptEnd?

    init(seed: UInt64, corruption: Double? = nil, habits: Mischief.Habits? = nil, end: AbruptEnd? = nil) {
        self.seed = seed
        abruptEnd = end
        mischief = habits.map { Mischief($0, seed: seed &+ 4_000) }
        var random = SeededRandom(seed: seed)
        let conditions = LinkConditions(
            delay: .microseconds(.random(in: 10...20_000, using: &random)),
            jitter: .microseconds(.random(in: 0...5_000, using: &random)),
            loss: [0, 0.01, 0.05, 0.15].randomElement(using: &random)!,
            duplication: [0, 0.02, 0.1].randomElement(using: &random)!,
            reordering: [0, 0.05, 0.2].randomElement(using: &random)!,
            corruption: corruption ?? [0, 0, 0.02].randomElement(using: &random)!)
        var settings = FlowSettings()
        // Packets travel behind their virtio headers where there is offload; a flipped bit must not hit those.
        settings.offload = conditions.corruption == 0 && random.chance(0.5)
        settings.receiveWindow = [2_000, 20_000, 65_535, 100_000, 1 << 20].randomElement(using: &random)!
        settings.maximumHeldSegments = [2, 1_024].randomElement(using: &random)!
        settings.timestamps = random.chance(0.8)
        settings.ecn = random.chance(0.8)
        // Where a third of all packets is lost or damaged, ten in a row are, now and then.
        settings.maximumRetransmissions = 30
        settings.userTimeout = nil
        var theirs = SimTCPPeer.Settings()
        theirs.maximumSegmentSize = [100, 536, 1_400].randomElement(using: &random)!
        theirs.windowScale = [nil, 0, 7].randomElement(using: &random)!
        theirs.timestamps = random.chance(0.7)
        theirs.sackPermitted = random.chance(0.7)
        theirs.ecn = random.chance(0.6)
        marking = theirs.ecn && conditions.corruption == 0 ? [0, 0.05, 0.5].randomElement(using: &random)! : 0
        theirs.receiveBuffer = [3_000, 30_000, 256 << 10].randomElement(using: &random)!
        theirs.segmentationOffload = settings.offload && random.chance(0.5)
        // Long enough for our last FIN, however often it is lost.
        theirs.timeWait = .seconds(600)
        theirs.windowProbe = random.chance(0.5) ? .oldSequence : .oneByte
        abruptEnd?.prepare(&settings, &theirs)
        uploadCount = .random(in: 0...30_000, using: &random)
        downloadCount = .random(in: 0...30_000, using: &random)
        // Somewhere in RFC 6528's clock, so that our numbers begin anywhere too.
        now = Instant(nanoseconds: .random(in: 1...20_000_000_000_000, using: &random))
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
        peer = SimTCPPeer(settings: theirs, seed: seed &+ 1_000)
        up = SimLink(conditions, seed: seed &+ 2_000)
        down = SimLink(conditions, seed: seed &+ 3_000)
        self.random = random
        let isIPv4 = random.chance(0.5)
        peer.connect(
            to: Endpoint(isIPv4 ? "192.0.2.1:443" : "[2001:db8::1]:443")!,
            from: Endpoint(isIPv4 ? "10.0.0.2:40000" : "[fd00::2]:40000")!, now: now)
    }

    var isOver: Bool {
        peer.state == .closed && nat.flowCount == 0 && up.isEmpty && down.isEmpty
    }

    func run() {
        let end = now + .seconds(4 * 3_600)
        while !isOver, now < end, failures.isEmpty {
            act()
            endIfDue()
            flush()
            // The owner and the application act now and then, whatever the network does.
            let own = now + .milliseconds(.random(in: 1...20, using: &random))
            let links = earliest(up.nextArrival, down.nextArrival)
            let timers = earliest(peer.nextDeadline, nat.nextDeadline)
            let isBusy =
                uploadWritten < uploadCount || downloadWritten < downloadCount || kept > 0 || !hasFinished
                || peer.buffered > 0
            let mayWait = !isBusy || abruptEnd?.hasCome == true
            guard let next = earliest(earliest(links, timers), mayWait ? nil : own) else { break }
            now = max(now, next)
            receive()
            peer.handleTimeout(now: now)
            nat.handleTimeout(now: now)
            takeEvents()
            checkLimits()
        }
    }

    // MARK: What both sides do

    private func act() {
        if uploadWritten < uploadCount {
            let count = min(uploadCount - uploadWritten, .random(in: 1...20_000, using: &random))
            uploadWritten += peer.write((uploadWritten..<uploadWritten + count).map(Trace.pattern))
        } else if mayClose(.application) {
            peer.shutdownWrite()
        }
        if random.chance(0.05) { peer.isReading.toggle() }
        if downloadWritten == downloadCount, hasFinished { peer.isReading = true }
        takeDownload()

        guard let flow, nat.state(of: flow) != nil else { return }
        if downloadWritten < downloadCount {
            let count = min(downloadCount - downloadWritten, .random(in: 1...20_000, using: &random))
            let bytes = (downloadWritten..<downloadWritten + count).map(Trace.pattern)
            downloadWritten += nat.withSendQueue(flow) { queue in bytes.withUnsafeBytes { queue.append($0) } } ?? 0
        } else if !hasFinished, mayClose(.owner), random.chance(0.2) {
            nat.finish(flow)
            hasFinished = true
        }
        if kept > 0, random.chance(0.5) {
            let count = Int.random(in: 1...kept, using: &random)
            kept -= count
            nat.release(flow, count)
        }
    }

    func takeDownload() {
        for byte in peer.read() {
            if byte != Trace.pattern(downloaded) { failures.append("download byte \(downloaded) is wrong") }
            downloaded += 1
        }
    }

    private func takeEvents() {
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, _) where abruptEnd?.hasCome == true:
                nat.reject(id, .refused)  // a duplicate of the SYN that was late
            case .connect(let id, _):
                events.append("connect")
                flow = id
                nat.accept(id)
            case .established: events.append("established")
            case .finished: events.append("finished")
            case .drained(_, let count): drained += count
            case .reset: events.append("reset")
            case .closed: events.append("closed")
            case .associationEnded, .datagramRefused: failures.append("an event of UDP")
            }
        }
    }

    // MARK: The network

    private func flush() {
        while let packet = peer.nextPacket(now: now) {
            up.send(framed(marked(packet), peer.packetHeader), now: now)
        }
        while nat.nextPacket(into: buffer, now: now) {
            let packet = buffer.flattened()
            mischief?.noteSent(packet)
            down.send(framed(marked(packet), buffer.offload), now: now)
        }
    }

    /// What a router with a long queue does (RFC 3168, section 5).
    private func marked(_ packet: [UInt8]) -> [UInt8] {
        guard marking > 0, let ip = try? IPHeader.parse(packet.span.bytes), ip.trafficClass & 3 != 0,
            random.chance(marking)
        else { return packet }
        var packet = packet
        if ip.isIPv4 {
            packet[1] |= 3
            packet.withUnsafeMutableBytes {
                PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: ip.headerLength)
            }
        } else {
            packet[1] |= 0x30
        }
        return packet
    }

    private func framed(_ packet: [UInt8], _ header: VirtioHeader) -> [UInt8] {
        guard nat.settings.offload else { return packet }
        var bytes = [UInt8](repeating: 0, count: VirtioHeader.byteCount)
        bytes.withUnsafeMutableBytes { header.store(to: $0.baseAddress!) }
        return bytes + packet
    }

    private func unframed(_ bytes: [UInt8]) -> (packet: [UInt8], header: VirtioHeader) {
        guard nat.settings.offload else { return (bytes, .none) }
        return (Array(bytes.dropFirst(VirtioHeader.byteCount)), VirtioHeader(bytes.span.bytes) ?? .none)
    }

    private func receive() {
        while let bytes = up.receive(now: now) {
            let (whole, header) = unframed(bytes)
            // What is distorted gets a checksum anew: a damaged ACK would become a lie that no liar thought of.
            let isReadable = header != .none || isIntact(whole)
            for packet in isReadable ? mischief?.distort(whole) ?? [whole] : [whole] { receive(packet, header) }
        }
        while let bytes = down.receive(now: now) {
            let (packet, header) = unframed(bytes)
            guard header != .none || isIntact(packet) else { continue }
            peer.handle(packet, virtioHeader: header, now: now)
        }
    }

    private func receive(_ packet: [UInt8], _ header: VirtioHeader) {
        let appetite = random.chance(0.02) ? Int.random(in: 0...500, using: &random) : .max
        var taken: [UInt8] = []
        packet.withUnsafeBytes { packet in
            nat.handle(packet, offload: header, now: now) { _, bytes in
                let count = min(bytes.count, appetite - taken.count)
                taken += bytes[..<count]
                return count
            }
        }
        for byte in taken {
            if byte != Trace.pattern(uploaded) { failures.append("upload byte \(uploaded) is wrong") }
            uploaded += 1
        }
        kept += taken.count
        takeEvents()
    }

    /// A corrupted packet is dropped before the peer, as a kernel does it: the peer takes it for a fault of ours.
    private func isIntact(_ packet: [UInt8]) -> Bool {
        let span = packet.span.bytes
        guard let ip = try? IPHeader.parse(span), ip.protocol == IPProtocol.tcp else { return false }
        return Checksum.isValid(
            segment: span.extracting(ip.upperLayer), source: ip.source, destination: ip.destination,
            protocol: IPProtocol.tcp)
    }

    // MARK: Checks

    private func checkLimits() {
        let unit = 32
        if kept >= nat.settings.receiveWindow + unit { failures.append("\(kept) bytes beyond the receive window") }
        if pool.outstanding > pool.limit { failures.append("the pool is beyond its limit") }
        if nat.heldSegmentBytes > nat.settings.maximumHeldBytes { failures.append("too many held bytes") }
        if nat.timerCount > nat.flowCount { failures.append("timers without flows") }
        if nat.sendRecordCount > 2 * nat.settings.maximumSendRecords + 2 { failures.append("too many send records") }
        if drained > downloadWritten { failures.append("more drained than written") }
    }

    func check() {
        takeDownload()
        // A duplicate that comes last of all is answered with a RST.
        while nat.nextPacket(into: buffer, now: now) {}
        let context = "seed \(seed), at \(now.nanoseconds), \(events)"
        #expect(failures == [], "\(context)")
        #expect(peer.violations == [], "\(context)")
        #expect(
            isOver,
            "the flow hangs: \(context), peer \(peer.state), up \(uploaded) of \(uploadCount), down \(downloaded) of \(downloadCount)"
        )
        #expect(uploaded == uploadCount && downloaded == downloadCount, "\(context)")
        #expect(events == ["connect", "established", "finished", "closed"], "\(context)")
        #expect(pool.outstanding == 0, "\(context)")
        #expect(nat.nextDeadline == nil && nat.heldSegmentBytes == 0 && nat.sendRecordCount == 0, "\(context)")
    }
}
