import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// A reader that sleeps for ten minutes behind a link that loses probes and their answers: no byte is lost, and the probes
/// are few (RFC 9293, section 3.8.6.1).
struct SuspendedReaderTests {
    /// Bytes to transfer: much more than both buffers hold.
    private static let total = 200_000
    private static let pause = Interval.seconds(600)
    /// A link as bad as this one may lose ten packets in a row, and both sides wait a minute then.
    private static let beforePause = Interval.seconds(120)
    private static let afterPause = Interval.seconds(6_000)

    /// The probes of ten minutes: 200 ms, twice that and so on up to a minute, then one each minute; and the first once
    /// more for a link that loses the ACKs of the last text.
    private static let mostProbes = 24

    /// Alone, and while the application itself sends.
    @Test(arguments: Seeds.upTo(20), [false, true])
    func theApplicationSleeps(seed: UInt64, uploads: Bool) {
        let pair = Pair(seed: seed, uploads: uploads, downloads: true)
        pair.peer.isReading = false
        pair.run(for: Self.beforePause)
        let before = pair.nat.counters
        let buffered = pair.downloaded + pair.peer.buffered
        #expect(pair.downloaded == 0 && (1..<Self.total).contains(buffered), "seed \(seed)")
        pair.run(for: Self.pause)
        let probes = pair.nat.counters.zeroWindowProbes - before.zeroWindowProbes
        #expect((9...Self.mostProbes).contains(probes), "seed \(seed): \(probes)")
        let packets = pair.nat.counters.packetsOut - before.packetsOut
        #expect(uploads || packets <= 2 * Self.mostProbes, "seed \(seed): \(packets)")
        #expect(
            pair.state == .established && pair.peer.buffered <= pair.peer.settings.receiveBuffer + 2_000,
            "seed \(seed): \(pair.story)")
        #expect(pair.down.counters.lost + pair.up.counters.lost > 0)
        // The shut window of one direction does not hold up the other.
        #expect(pair.uploaded == (uploads ? Self.total : 0), "seed \(seed): \(pair.uploaded)")
        pair.peer.isReading = true
        pair.run(for: Self.afterPause)
        #expect(pair.downloaded == Self.total && pair.failures == [], "seed \(seed): \(pair.downloaded)")
        #expect(pair.peer.violations == [] && pair.nat.counters.retransmissionFailures == 0, "seed \(seed)")
    }

    @Test(arguments: Seeds.upTo(20))
    func theOwnerSleeps(seed: UInt64) {
        let pair = Pair(seed: seed, uploads: true, downloads: false)
        pair.releases = false
        pair.run(for: Self.beforePause)
        let (before, probesBefore) = (pair.nat.counters, pair.peer.counters.windowProbes)
        #expect(pair.uploaded >= pair.nat.settings.receiveWindow && pair.uploaded < Self.total, "seed \(seed)")
        pair.run(for: Self.pause)
        let probes = pair.peer.counters.windowProbes - probesBefore
        #expect((9...Self.mostProbes).contains(probes), "seed \(seed): \(probes)")
        // Each is answered once, and nothing else is said; what came before the pause may still be answered.
        #expect(pair.nat.counters.packetsOut - before.packetsOut <= probes + 2, "seed \(seed)")
        #expect(pair.uploaded <= pair.nat.settings.receiveWindow + 32 && pair.state == .established, "seed \(seed)")
        pair.releases = true
        pair.run(for: Self.afterPause)
        #expect(pair.uploaded == Self.total && pair.failures == [], "seed \(seed): \(pair.uploaded)")
        #expect(pair.peer.violations == [], "seed \(seed)")
    }

    /// An application and a flow, one of which has much to say, one packet in five lost each way once they are connected.
    private final class Pair {
        let pool = BlockPool(byteLimit: 4 << 20)
        var nat: FlowNAT
        let peer: SimTCPPeer
        var up: SimLink
        var down: SimLink
        var now = Instant(nanoseconds: 1_000_000_000_000)
        /// Whether the owner passes on what it takes.
        var releases = true
        /// Which way the bytes go.
        private let uploads: Bool
        private let downloads: Bool
        private(set) var uploaded = 0
        private(set) var downloaded = 0
        private(set) var failures: [String] = []
        private var kept = 0
        private var uploadWritten = 0
        private var downloadWritten = 0
        private var flow: FlowID?
        private let buffer = PacketBuffer()

        /// What tells how it came to this.
        var story: String {
            let counters = nat.counters.list.filter { $0.value != 0 }.map { "\($0.name) \($0.value)" }
            return "\(failures), peer \(peer.state) \(String(describing: peer.outcome)), \(counters)"
        }

        var state: TCPState? { flow.flatMap { nat.state(of: $0) } }

        init(seed: UInt64, uploads: Bool, downloads: Bool) {
            self.downloads = downloads
            self.uploads = uploads
            var random = SeededRandom(seed: seed)
            var settings = FlowSettings()
            settings.offload = false
            settings.receiveWindow = 30_000
            nat = FlowNAT(settings: settings, pool: pool, random: &random)
            var theirs = SimTCPPeer.Settings()
            theirs.receiveBuffer = 30_000
            theirs.windowProbe = seed % 2 == 0 ? .oldSequence : .oneByte
            peer = SimTCPPeer(settings: theirs, seed: seed)
            let conditions = LinkConditions(delay: .milliseconds(5))
            up = SimLink(conditions, seed: seed &+ 1)
            down = SimLink(conditions, seed: seed &+ 2)
            peer.connect(to: Endpoint("192.0.2.1:443")!, from: Endpoint("10.0.0.2:40000")!, now: now)
        }

        func run(for time: Interval) {
            let end = now + time
            while true {
                act()
                flush()
                let next = earliest(
                    earliest(up.nextArrival, down.nextArrival), earliest(peer.nextDeadline, nat.nextDeadline))
                guard let next, next <= end else { break }
                now = max(now, next)
                receive()
                peer.handleTimeout(now: now)
                nat.handleTimeout(now: now)
                takeEvents()
            }
            now = end
        }

        /// The sender writes what there is room for.
        private func act() {
            if uploads, peer.writable > 0 {
                let room = min(8_192, peer.writable, SuspendedReaderTests.total - uploadWritten)
                let bytes = (uploadWritten..<uploadWritten + room).map(Trace.pattern)
                uploadWritten += peer.write(bytes)
            }
            for byte in peer.read() {
                if byte != Trace.pattern(downloaded) { failures.append("download byte \(downloaded) is wrong") }
                downloaded += 1
            }
            guard let flow else { return }
            if downloads, nat.heldBytes(flow) < 100_000 {
                let end = min(SuspendedReaderTests.total, downloadWritten + 8_192)
                let bytes = (downloadWritten..<end).map(Trace.pattern)
                downloadWritten += nat.withSendQueue(flow) { queue in bytes.withUnsafeBytes { queue.append($0) } } ?? 0
            }
            if releases, kept > 0 {
                nat.release(flow, kept)
                kept = 0
            }
        }

        private func flush() {
            while let packet = peer.nextPacket(now: now) { up.send(packet, now: now) }
            while nat.nextPacket(into: buffer, now: now) { down.send(buffer.flattened(), now: now) }
        }

        private func receive() {
            while let packet = up.receive(now: now) {
                packet.withUnsafeBytes { packet in
                    nat.handle(packet, offload: .none, now: now) { _, bytes in
                        for byte in bytes {
                            if byte != Trace.pattern(uploaded) { failures.append("upload byte \(uploaded) is wrong") }
                            uploaded += 1
                        }
                        kept += bytes.count
                        return bytes.count
                    }
                }
            }
            while let packet = down.receive(now: now) { peer.handle(packet, now: now) }
        }

        private func takeEvents() {
            while let event = nat.nextEvent() {
                switch event {
                case .connect(let id, _):
                    flow = id
                    nat.accept(id)
                case .established:
                    up.conditions.loss = 0.2
                    down.conditions.loss = 0.2
                case .reset: failures.append("reset")
                case .drained, .finished, .closed, .associationEnded, .datagramRefused: break
                }
            }
        }
    }
}
