import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Transfers that end before their time, across a bad network: what arrived is the beginning of what was sent, both ends
/// learn of the end, and nothing is left.
struct AbruptEndTests {
    @Test(arguments: Seeds.upTo(60))
    func bothEndsLearnOfIt(seed: UInt64) {
        let simulation = LossySimulation(seed: seed, end: AbruptEnd(seed: seed))
        simulation.run()
        simulation.checkAbruptEnd()
    }

    /// In a few seeds together, bytes of both directions are really cut off, and both ends have half-closed.
    @Test func bytesAreReallyCutOff() {
        var cut = (uploads: 0, downloads: 0)
        var states: Set<String> = []
        for seed in 0..<24 as Range<UInt64> {
            let simulation = LossySimulation(seed: seed, end: AbruptEnd(seed: seed))
            simulation.run()
            simulation.takeDownload()
            if simulation.uploaded < simulation.uploadCount { cut.uploads += 1 }
            if simulation.downloaded < simulation.downloadCount { cut.downloads += 1 }
            if let state = simulation.abruptEnd?.state { states.insert("\(state)") }
        }
        #expect(cut.uploads >= 8 && cut.downloads >= 8, "\(cut)")
        #expect(states.isSuperset(of: ["established", "finWait1", "closeWait"]), "\(states)")
    }
}

/// What cuts a transfer off, and when.
struct AbruptEnd {
    enum Cause: CaseIterable { case ownerAborts, peerResets, linkDies }
    enum Side: CaseIterable { case owner, application }

    let cause: Cause
    /// How much of the bytes of both directions has arrived by then, from 0 to 1.
    let share: Double
    /// The one end that may have sent its FIN by then. Never both, or the close might be over.
    let finisher: Side?
    private(set) var hasCome = false
    /// Where the flow stood.
    private(set) var state: TCPState?

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 5_000)
        cause = Cause.allCases[Int(seed % 3)]
        share = .random(in: 0..<1, using: &random)
        finisher = [nil, .owner, .application].randomElement(using: &random)!
    }

    func maySendFIN(_ side: Side) -> Bool { hasCome || side == finisher }

    mutating func note(_ state: TCPState?) {
        hasCome = true
        self.state = state
    }

    /// An end that has nothing to send must learn of it too, whether the RST is lost or there is none.
    func prepare(_ settings: inout FlowSettings, _ theirs: inout SimTCPPeer.Settings) {
        settings.userTimeout = .seconds(300)
        settings.keepaliveIdle = .seconds(60)
        settings.keepaliveInterval = .seconds(20)
        theirs.keepalive = .seconds(45)
    }
}

extension LossySimulation {
    func mayClose(_ side: AbruptEnd.Side) -> Bool { abruptEnd?.maySendFIN(side) ?? true }

    func endIfDue() {
        guard let end = abruptEnd, !end.hasCome, let flow, peer.outcome == .connected,
            Double(uploaded + downloaded) >= end.share * Double(uploadCount + downloadCount)
        else { return }
        abruptEnd?.note(nat.state(of: flow))
        peer.isReading = true
        switch end.cause {
        case .ownerAborts: nat.abort(flow)
        case .peerResets: peer.abort()
        case .linkDies:
            up.isCut = true
            down.isCut = true
        }
    }

    func checkAbruptEnd() {
        takeDownload()
        while nat.nextPacket(into: buffer, now: now) {}
        guard let end = abruptEnd else { return }
        let cause = end.cause
        let context = "seed \(seed), \(cause) in \(String(describing: end.state)), \(events)"
        // Each byte that arrived was compared with the one that belongs there.
        #expect(failures == [] && peer.violations == [], "\(context): \(failures), \(peer.violations)")
        #expect(end.hasCome && end.state != nil, "\(context)")
        #expect(uploaded <= uploadWritten && downloaded <= downloadWritten, "\(context)")
        // The owner was told of no byte that the application does not have.
        #expect(drained <= peer.counters.bytesReceived, "\(context)")
        #expect(isOver, "the flow hangs: \(context), peer \(peer.state)")

        let counters = nat.counters
        let givenUp =
            counters.userTimeouts + counters.keepaliveFailures + counters.retransmissionFailures
            + counters.handshakeFailures
        switch cause {
        case .ownerAborts:
            #expect(peer.receivedRST && peer.outcome == .connected, "\(context)")
            #expect(!events.contains("reset") && givenUp == 0, "\(context)")
        case .peerResets:
            #expect(events.last == "reset" && counters.resetByPeer == 1 && givenUp == 0, "\(context)")
        case .linkDies:
            #expect(peer.outcome == .timedOut && !peer.receivedRST, "\(context)")
            #expect(events.last == "reset" && counters.resetByPeer == 0 && givenUp == 1, "\(context)")
        }
        #expect(!events.contains("closed") && events.count { $0 == "reset" } <= 1, "\(context)")

        #expect(pool.outstanding == 0 && nat.flowCount == 0 && nat.timerCount == 0, "\(context)")
        #expect(nat.nextDeadline == nil && nat.heldSegmentBytes == 0 && nat.sendRecordCount == 0, "\(context)")
        #expect(nat.gauges.sources == 0 && nat.gauges.replyBytes == 0, "\(context)")
    }
}
