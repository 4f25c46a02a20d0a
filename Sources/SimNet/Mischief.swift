import Packets
import Primitives

/// A liar between a sender and its peer: it sees every segment that the sender sends, and distorts the pure ACKs that
/// come back. What it says about sequence numbers below the acknowledgment is always true, so that an honest transfer
/// still ends; everything else a sender must bear.
public struct Mischief: Sendable {
    /// Each from 0 to 1, per ACK.
    public struct Habits: Sendable {
        /// An ACK of much comes as several ACKs of little (Savage et al. 1999: ACK division).
        public var divides = 0.0
        /// The same ACK comes five times.
        public var repeats = 0.0
        /// An ACK is kept back; the next one covers it.
        public var stretches = 0.0
        /// An ACK of what was not sent yet comes first.
        public var anticipates = 0.0
        /// SACK blocks of what never arrived; the next ACK knows nothing of them (RFC 2018, section 8).
        public var reneges = 0.0
        /// D-SACK blocks of what did not arrive twice.
        public var duplicates = 0.0
        /// The window is a fraction of what the peer has said, down to nothing.
        public var shrinks = 0.0

        public init() {}
    }

    public let habits: Habits
    public private(set) var distorted = 0
    private var random: SeededRandom
    /// One past the highest number that the sender has sent, and the last acknowledgment passed on.
    private var highest: SequenceNumber?
    private var acknowledged: SequenceNumber?
    private var hasSentFIN = false

    public init(_ habits: Habits, seed: UInt64) {
        self.habits = habits
        random = SeededRandom(seed: seed)
    }

    /// A segment that the sender sends.
    public mutating func noteSent(_ packet: [UInt8]) {
        guard let (_, tcp, count) = Self.parse(packet) else { return }
        let end = tcp.sequence + count + (tcp.flags.isDisjoint(with: [.syn, .fin]) ? 0 : 1)
        highest = highest.map { SequenceNumber.later($0, end) } ?? end
        if tcp.flags.contains(.fin) { hasSentFIN = true }
    }

    /// What arrives at the sender in the place of this packet.
    public mutating func distort(_ packet: [UInt8]) -> [[UInt8]] {
        guard let highest, let (ip, tcp, count) = Self.parse(packet), count == 0, tcp.flags == .ack else {
            return [packet]
        }
        let from = acknowledged ?? tcp.acknowledgment
        if random.chance(habits.stretches) {
            distorted += 1
            return []
        }
        acknowledged = SequenceNumber.later(from, tcp.acknowledgment)
        var packets: [[UInt8]] = []
        // Once the sender's FIN is acknowledged its flow may be gone: then a RST at the number that was named is the right
        // answer (RFC 9293, section 3.10.7.1), and the peer would take it for text beyond its window.
        let mayBeGone = hasSentFIN && acknowledged == highest
        if random.chance(habits.anticipates), !mayBeGone {
            var early = tcp
            early.acknowledgment = highest + .random(in: 1...100_000, using: &random)
            packets.append(Self.rewrite(packet, ip, early))
        }
        if random.chance(habits.divides), tcp.acknowledgment - from > 1 {
            for _ in 0..<8 {
                var part = tcp
                part.options.sack.removeAll()
                part.acknowledgment = from + .random(in: 1..<(tcp.acknowledgment - from), using: &random)
                packets.append(Self.rewrite(packet, ip, part))
            }
        }
        var last = tcp
        if random.chance(habits.shrinks) {
            last.window = UInt16(Double(tcp.window) * [0, 0.01, 0.3].randomElement(using: &random)!)
        }
        let outstanding = highest - tcp.acknowledgment
        if random.chance(habits.reneges), outstanding > 2 {
            last.options.sack.removeAll()
            for _ in 0..<3 {
                let start = Int.random(in: 1..<outstanding - 1, using: &random)
                let end = Int.random(in: start + 1...outstanding, using: &random)
                _ = last.options.sack.append(
                    SACKBlock(start: tcp.acknowledgment + start, end: tcp.acknowledgment + end))
            }
        } else if random.chance(habits.duplicates) {
            last.options.sack.removeAll()
            _ = last.options.sack.append(
                SACKBlock(start: tcp.acknowledgment - .random(in: 1...3_000, using: &random), end: tcp.acknowledgment))
        }
        let copies = random.chance(habits.repeats) ? 5 : 1
        packets += Array(repeating: Self.rewrite(packet, ip, last), count: copies)
        if packets.count > 1 || last != tcp { distorted += 1 }
        return packets
    }

    private static func parse(_ packet: [UInt8]) -> (IPHeader, TCPHeader, Int)? {
        let span = packet.span.bytes
        guard let ip = try? IPHeader.parse(span), ip.protocol == IPProtocol.tcp,
            let tcp = try? TCPHeader.parse(span.extracting(ip.upperLayer))
        else { return nil }
        return (ip, tcp, ip.totalLength - ip.headerLength - tcp.headerLength)
    }

    /// The headers anew, with a whole checksum; there is no payload.
    private static func rewrite(_ packet: [UInt8], _ ip: IPHeader, _ tcp: TCPHeader) -> [UInt8] {
        let ipLength = PacketWriter.ipHeaderLength(isIPv4: ip.isIPv4)
        let length = TCPHeader.minimumLength + tcp.options.encodedLength
        return [UInt8](unsafeUninitializedCapacity: ipLength + length) { buffer, count in
            let memory = UnsafeMutableRawPointer(buffer.baseAddress!)
            PacketWriter.writeIPHeader(
                to: memory, source: ip.source, destination: ip.destination, protocol: IPProtocol.tcp,
                payloadLength: length, trafficClass: ip.trafficClass)
            PacketWriter.writeTCPHeader(
                to: memory + ipLength, sourcePort: tcp.sourcePort, destinationPort: tcp.destinationPort,
                sequence: tcp.sequence, acknowledgment: tcp.acknowledgment, flags: tcp.flags, window: tcp.window,
                options: tcp.options)
            PacketWriter.setChecksum(
                at: memory + ipLength, length: length, protocol: .tcp, source: ip.source, destination: ip.destination)
            count = ipLength + length
        }
    }
}
