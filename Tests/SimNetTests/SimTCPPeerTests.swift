import Packets
import Primitives
import SimNet
import Testing

@Suite struct SimTCPPeerTransferTests {
    private func pattern(_ count: Int, _ seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return random.bytes(count)
    }

    @Test(arguments: [true, false]) func theHandshakeAgreesOnOptions(isIPv4: Bool) throws {
        var pair = PeerPair(isIPv4: isIPv4)
        #expect(pair.client.state == .synSent && pair.client.outcome == nil)
        pair.run(for: .seconds(1))
        #expect(pair.client.state == .established && pair.client.outcome == .connected)
        #expect(pair.server.state == .established && pair.server.outcome == .connected)
        let syn = try #require(pair.sentByClient.first?.packet)
        let tcp = try TCPHeader.parse(syn.span.bytes.extracting((isIPv4 ? 20 : 40)..<syn.count))
        #expect(tcp.flags == .syn && tcp.options.maximumSegmentSize == 1400 && tcp.options.windowScale == 7)
        #expect(tcp.options.sackPermitted && tcp.options.timestamps?.echo == 0)
    }

    /// Both directions at once, closed by both; for several seeds, with and without each option and offload.
    @Test(arguments: 0..<12) func bytesArriveOverALossyLink(seed: Int) {
        var settings = SimTCPPeer.Settings()
        settings.segmentationOffload = seed % 2 == 1
        settings.timestamps = seed % 3 != 0
        settings.sackPermitted = seed % 4 != 0
        settings.windowScale = seed % 5 == 0 ? nil : 7
        // Super-segments are few: to lose some of them takes a worse link.
        let conditions = LinkConditions(
            delay: .milliseconds(10), jitter: .milliseconds(3), loss: settings.segmentationOffload ? 0.2 : 0.02,
            duplication: 0.01, reordering: 0.02)
        var pair = PeerPair(isIPv4: seed % 2 == 0, client: settings, conditions: conditions, seed: UInt64(seed))
        let (toServer, toClient) = (pattern(300_000, 1), pattern(200_000, 2))
        var written = (up: 0, down: 0)
        var read = (atServer: [UInt8](), atClient: [UInt8]())
        let isDone = pair.run { pair in
            written.up += pair.client.write(Array(toServer[written.up...].prefix(50_000)))
            if written.up == toServer.count { pair.client.shutdownWrite() }
            written.down += pair.server.write(Array(toClient[written.down...].prefix(50_000)))
            if written.down == toClient.count { pair.server.shutdownWrite() }
            read.atServer += pair.server.read()
            read.atClient += pair.client.read()
            return pair.client.state == .closed && pair.server.state == .closed
        }
        #expect(isDone, "seed \(seed): \(pair.client.state) \(pair.server.state)")
        #expect(read.atServer == toServer && read.atClient == toClient, "seed \(seed)")
        #expect(pair.client.receivedFIN && pair.server.receivedFIN)
        #expect(pair.client.violations == [], "seed \(seed)")
        #expect(pair.server.violations == [], "seed \(seed)")
        #expect(pair.client.counters.retransmissions + pair.server.counters.retransmissions > 0)
        #expect((pair.server.counters.superSegmentsReceived > 0) == settings.segmentationOffload)
        #expect(pair.client.nextDeadline == nil && pair.client.pendingBytes == 0)
    }

    @Test func aLosslessTransferRetransmitsNothing() {
        var pair = PeerPair()
        let bytes = pattern(1_000_000, 3)
        var written = 0
        var received: [UInt8] = []
        let isDone = pair.run { pair in
            written += pair.client.write(Array(bytes[written...].prefix(100_000)))
            received += pair.server.read()
            return received.count == bytes.count
        }
        #expect(isDone && received == bytes)
        #expect(pair.client.counters.retransmissions == 0 && pair.server.violations == [])
        // An ACK for two segments, not for each.
        #expect(pair.server.counters.packetsSent < pair.client.counters.packetsSent * 2 / 3)
    }

    @Test(arguments: [SimTCPPeer.WindowProbe.oldSequence, .oneByte])
    func aStalledReaderStopsTheWriter(probe: SimTCPPeer.WindowProbe) {
        var client = SimTCPPeer.Settings()
        client.windowProbe = probe
        var server = SimTCPPeer.Settings()
        server.receiveBuffer = 50_000
        var pair = PeerPair(client: client, server: server)
        pair.run(for: .seconds(1))
        pair.server.isReading = false
        let bytes = pattern(200_000, 4)
        #expect(pair.client.write(bytes) == bytes.count)
        // The writer gives up after 15 unanswered probes; these are answered.
        pair.run(for: .seconds(3600))
        #expect(pair.server.read() == [])
        // What was promised in the SYN-ACK stands, up to a step of the window's scale.
        #expect((50_000...50_200).contains(pair.server.buffered))
        #expect(pair.client.state == .established && pair.client.counters.windowProbes > 15)
        #expect(pair.server.violations == [])
        pair.server.isReading = true
        var received: [UInt8] = []
        #expect(
            pair.run { pair in
                received += pair.server.read()
                return received.count == bytes.count
            })
        #expect(received == bytes && pair.server.violations == [])
    }

    @Test func theSendBufferHasALimit() {
        var settings = SimTCPPeer.Settings()
        settings.sendBuffer = 1000
        var pair = PeerPair(client: settings)
        pair.run(for: .seconds(1))
        pair.up.isCut = true
        #expect(pair.client.writable == 1000)
        #expect(pair.client.write([UInt8](repeating: 1, count: 999)) == 999)
        #expect(pair.client.write([2, 3]) == 1 && pair.client.write([4]) == 0 && pair.client.writable == 0)
    }
}

@Suite struct SimTCPPeerClosingTests {
    @Test func halfCloseLastsAsLongAsWanted() {
        var pair = PeerPair()
        pair.run(for: .seconds(1))
        pair.client.shutdownWrite()
        pair.run(for: .seconds(7200))
        #expect(pair.client.state == .finWait2 && pair.server.state == .closeWait)
        #expect(pair.server.receivedFIN && !pair.client.receivedFIN && pair.client.write([1]) == 0)
        #expect(pair.server.write([1, 2, 3]) == 3)
        pair.server.shutdownWrite()
        pair.run(for: .seconds(1))
        #expect(pair.client.read() == [1, 2, 3] && pair.client.receivedFIN)
        #expect(pair.client.state == .timeWait && pair.server.state == .closed)
        pair.run(for: .seconds(2))
        #expect(pair.client.state == .closed)
    }

    @Test func bothMayCloseAtOnce() {
        var pair = PeerPair()
        pair.run(for: .seconds(1))
        pair.client.shutdownWrite()
        pair.server.shutdownWrite()
        pair.run(for: .seconds(1))
        #expect(pair.client.state == .timeWait && pair.server.state == .timeWait)
    }

    @Test func aFINBeforeTheHandshakeWaitsForIt() {
        var pair = PeerPair()
        #expect(pair.client.write([9]) == 1)
        pair.client.shutdownWrite()
        pair.run(for: .seconds(1))
        #expect(pair.server.read() == [9] && pair.server.receivedFIN && pair.client.state == .finWait2)
    }

    @Test func abortIsReset() {
        var pair = PeerPair()
        pair.run(for: .seconds(1))
        #expect(pair.server.write([1]) == 1)
        pair.client.abort()
        pair.run(for: .seconds(1))
        #expect(pair.server.state == .closed && pair.server.receivedRST && !pair.server.receivedFIN)
        #expect(pair.client.state == .closed && !pair.client.receivedRST)
    }

    @Test func aSilentPeerIsGivenUp() {
        var pair = PeerPair()
        pair.run(for: .seconds(1))
        pair.up.isCut = true
        #expect(pair.client.write([1]) == 1)
        pair.run(for: .seconds(3600))
        #expect(pair.client.outcome == .timedOut && pair.client.state == .closed)
        #expect(pair.client.counters.retransmissions == 15)
    }
}
