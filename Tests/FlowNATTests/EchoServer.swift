import FlowNAT
import Packets
import Primitives

/// The example of docs/FLOWNAT.md: accepts every connection and sends back what it receives.
struct EchoServer: ~Copyable {
    private var nat: FlowNAT
    private let buffer = PacketBuffer()

    init(random: inout some RandomNumberGenerator) {
        var settings = FlowSettings()
        settings.offload = false  // whole packets in, whole packets out: no virtio header
        nat = FlowNAT(settings: settings, pool: BlockPool(byteLimit: 8 << 20), random: &random)
    }

    /// When `advance` has something to do next; nil while no timer runs.
    var nextDeadline: Instant? { nat.nextDeadline }
    var connections: Int { nat.activeFlowCount }

    /// Takes one IP packet and returns the packets that answer it.
    mutating func receive(_ packet: [UInt8], now: Instant) -> [[UInt8]] {
        var arrived: [(flow: FlowID, bytes: [UInt8])] = []
        packet.withUnsafeBytes { bytes in
            nat.handle(bytes, offload: .none, now: now) { flow, text in
                arrived.append((flow, Array(text)))
                return text.count  // all of it; less would be sent again by the application
            }
        }
        for (flow, bytes) in arrived {
            nat.withSendQueue(flow) { queue in bytes.withUnsafeBytes { _ = queue.append($0) } }
        }
        return settle(now: now)
    }

    /// Lets timers fire: retransmissions, delayed ACKs, the end of TIME-WAIT.
    mutating func advance(to now: Instant) -> [[UInt8]] {
        nat.handleTimeout(now: now)
        return settle(now: now)
    }

    /// After every call: first the events, until there are no more, then the packets.
    private mutating func settle(now: Instant) -> [[UInt8]] {
        while let event = nat.nextEvent() {
            if case .connect(let flow, _) = event {
                nat.accept(flow)  // or `reject(flow, .refused)`: the application sees "connection refused"
            } else if case .drained(let flow, let count) = event {
                nat.release(flow, count)  // the echo is out of our hands, so as much more may come in
            } else if case .finished(let flow) = event {
                nat.finish(flow)  // nothing more will come: our FIN follows what is queued
            }
        }
        var packets: [[UInt8]] = []
        while nat.nextPacket(into: buffer, now: now) { packets.append(buffer.flattened()) }
        return packets
    }
}
