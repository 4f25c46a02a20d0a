import Packets
import Primitives
import SimNet

/// Two peers and a link each way. Every packet travels behind its virtio header, as on a TUN.
struct PeerPair {
    var client: SimTCPPeer
    var server: SimTCPPeer
    var up: SimLink
    var down: SimLink
    var now = Instant(nanoseconds: 1_000_000_000)
    var capture = PcapWriter(byteLimit: 1 << 20)
    /// What the client put onto the wire, with the time.
    var sentByClient: [(time: Instant, packet: [UInt8])] = []

    init(
        isIPv4: Bool = true, client: SimTCPPeer.Settings = .init(), server: SimTCPPeer.Settings = .init(),
        conditions: LinkConditions = LinkConditions(), seed: UInt64 = 1
    ) {
        self.client = SimTCPPeer(settings: client, seed: seed)
        self.server = SimTCPPeer(settings: server, seed: seed &+ 1)
        up = SimLink(conditions, seed: seed &+ 2)
        down = SimLink(conditions, seed: seed &+ 3)
        let local: IPAddress = isIPv4 ? .v4(IPv4Address(0x0A00_0001)) : .v6(IPv6Address(high: 0xFD << 56, low: 1))
        let remote: IPAddress = isIPv4 ? .v4(IPv4Address(0x0A00_0002)) : .v6(IPv6Address(high: 0xFD << 56, low: 2))
        self.server.listen(on: Endpoint(remote, 80))
        self.client.connect(to: Endpoint(remote, 80), from: Endpoint(local, 40000), now: now)
        flush()
    }

    /// Puts out all that both have to say.
    mutating func flush() {
        while let packet = client.nextPacket(now: now) {
            sentByClient.append((now, packet))
            capture.append(packet, at: now)
            up.send(framed(packet, client.packetHeader), now: now)
        }
        while let packet = server.nextPacket(now: now) {
            capture.append(packet, at: now)
            down.send(framed(packet, server.packetHeader), now: now)
        }
    }

    private func framed(_ packet: [UInt8], _ header: VirtioHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: VirtioHeader.byteCount)
        bytes.withUnsafeMutableBytes { header.store(to: $0.baseAddress!) }
        return bytes + packet
    }

    /// Goes to the next moment when something happens; false when nothing will, or not before `limit`.
    mutating func step(until limit: Instant = Instant(nanoseconds: .max)) -> Bool {
        let links = earliest(up.nextArrival, down.nextArrival)
        guard let next = earliest(links, earliest(client.nextDeadline, server.nextDeadline)), next <= limit else {
            now = limit == Instant(nanoseconds: .max) ? now : max(now, limit)
            return false
        }
        now = max(now, next)
        while let bytes = up.receive(now: now) {
            let header = VirtioHeader(bytes.span.bytes)
            server.handle(Array(bytes.dropFirst(VirtioHeader.byteCount)), virtioHeader: header, now: now)
        }
        while let bytes = down.receive(now: now) {
            let header = VirtioHeader(bytes.span.bytes)
            client.handle(Array(bytes.dropFirst(VirtioHeader.byteCount)), virtioHeader: header, now: now)
        }
        client.handleTimeout(now: now)
        server.handleTimeout(now: now)
        flush()
        return true
    }

    mutating func run(for interval: Interval) {
        flush()
        let end = now + interval
        while step(until: end) {}
    }

    /// Runs until the condition holds; gives up after `limit` of virtual time.
    mutating func run(limit: Interval = .seconds(600), until condition: (inout PeerPair) -> Bool) -> Bool {
        flush()
        let end = now + limit
        while !condition(&self) {
            flush()
            if !step(until: end) { return condition(&self) }
        }
        return true
    }
}
