import Glibc
import Packets
import Primitives

/// The pieces by themselves: what a segment cannot cost less than.
struct Parsing: Scenario, ~Copyable {
    private var side = ApplicationSide(count: 1, isIPv4: true)
    private let packet: [UInt8]

    init(timestamps: Bool) {
        let options = TCPOptions(timestamps: timestamps ? (1, 2) : nil)
        let tcpLength = TCPHeader.minimumLength + options.encodedLength
        var bytes = [UInt8](repeating: 0, count: 20 + tcpLength + 1_448)
        bytes.withUnsafeMutableBytes { memory in
            let start = memory.baseAddress!
            PacketWriter.writeTCPHeader(
                to: start + 20, sourcePort: 20_000, destinationPort: 443, sequence: SequenceNumber(1),
                acknowledgment: SequenceNumber(1), flags: .ack, window: 1_000, options: options)
            PacketWriter.writeIPHeader(
                to: start, source: PacketTemplate.source(0, isIPv4: true).address,
                destination: PacketTemplate.destination.address, protocol: IPProtocol.tcp,
                payloadLength: tcpLength + 1_448)
        }
        packet = bytes
    }

    mutating func run(_ operations: Int) {
        packet.withUnsafeBytes { bytes in
            var sum: UInt32 = 0
            for _ in 0..<operations {
                guard let ip = try? IPHeader.parse(bytes.bytes),
                    let tcp = try? TCPHeader.parse(bytes.bytes.extracting(ip.upperLayer))
                else { fatalError("a packet that cannot be read") }
                sum &+=
                    tcp.sequence.rawValue &+ UInt32(truncatingIfNeeded: ip.headerLength)
                    &+ (tcp.options.timestamps?.value ?? 0)
            }
            keep(sum)
        }
    }
}

struct Summing: Scenario, ~Copyable {
    private let bytes: [UInt8]

    init(bytes count: Int) { bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

    mutating func run(_ operations: Int) {
        bytes.withUnsafeBytes { memory in
            var sum: UInt64 = 0
            for _ in 0..<operations { sum = Checksum.sum(memory, initial: sum) }
            keep(sum)
        }
    }
}

/// `memcpy` of as many bytes as a segment carries, out of one place into a megabyte that is written round and round.
struct Copying: Scenario, ~Copyable {
    private let count: Int
    private let source: UnsafeMutableRawPointer
    private let sink: UnsafeMutableRawPointer
    private var position = 0

    init(bytes: Int) {
        count = bytes
        source = .allocate(byteCount: 65_536, alignment: 64)
        source.initializeMemory(as: UInt8.self, repeating: 7, count: 65_536)
        sink = .allocate(byteCount: 1 << 20 + 65_536, alignment: 64)
        sink.initializeMemory(as: UInt8.self, repeating: 0, count: 1 << 20 + 65_536)
    }

    deinit {
        source.deallocate()
        sink.deallocate()
    }

    mutating func run(_ operations: Int) {
        for _ in 0..<operations {
            memcpy(sink + position, source, count)
            position = (position + count) & (1 << 20 - 1)
        }
    }
}
