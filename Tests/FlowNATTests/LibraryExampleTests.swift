import Packets
import Primitives
import SimNet
import Testing

/// The guide's example does what the guide says. No `@testable` here: an outsider has the public API alone.
struct LibraryExampleTests {
    private let client = Endpoint("10.0.0.2:40000")!
    private let server = Endpoint("192.0.2.1:7")!

    @Test func echoServerServesOneConnection() throws {
        var random = SeededRandom(seed: 1)
        var echo = EchoServer(random: &random)
        var now = Instant(nanoseconds: 5_000_000_000)

        let opening = echo.receive(packet(.syn, 100, 0), now: now)
        let synAck = try tcp(#require(opening.first))
        #expect(synAck.header.flags == [.syn, .ack])
        #expect(synAck.header.acknowledgment.rawValue == 101)
        let first = synAck.header.sequence.rawValue &+ 1

        let silence = echo.receive(packet(.ack, 101, first), now: now)
        #expect(silence.isEmpty)
        let during = echo.connections
        #expect(during == 1)

        let echoed = echo.receive(packet([.ack, .psh], 101, first, text: "hello"), now: now)
        let answer = try tcp(#require(echoed.first))
        #expect(answer.payload == Array("hello".utf8))
        #expect(answer.header.sequence.rawValue == first)
        #expect(answer.header.acknowledgment.rawValue == 106)

        // Not acknowledged, so it comes again at one of the next deadlines.
        var repeated: [[UInt8]] = []
        for _ in 0..<10 where repeated.isEmpty {
            let deadline = echo.nextDeadline
            now = try #require(deadline)
            repeated = echo.advance(to: now)
        }
        let again = try tcp(#require(repeated.first))
        #expect(again.payload == Array("hello".utf8))

        let closing = echo.receive(packet([.fin, .ack], 106, first &+ 5), now: now)
        let last = try tcp(#require(closing.last))
        #expect(last.header.flags == [.fin, .ack])
        let end = echo.receive(packet(.ack, 107, first &+ 6), now: now)
        #expect(end.isEmpty)
        let after = echo.connections
        #expect(after == 0)
    }

    private func packet(_ flags: TCPFlags, _ sequence: UInt32, _ acknowledgment: UInt32, text: String = "") -> [UInt8] {
        let payload = Array(text.utf8)
        let length = TCPHeader.minimumLength + payload.count
        var bytes = [UInt8](repeating: 0, count: 20 + TCPHeader.minimumLength) + payload
        bytes.withUnsafeMutableBytes { memory in
            let start = memory.baseAddress!
            PacketWriter.writeIPHeader(
                to: start, source: client.address, destination: server.address, protocol: IPProtocol.tcp,
                payloadLength: length)
            PacketWriter.writeTCPHeader(
                to: start + 20, sourcePort: client.port, destinationPort: server.port,
                sequence: SequenceNumber(sequence), acknowledgment: SequenceNumber(acknowledgment), flags: flags,
                window: 0xFFFF)
            PacketWriter.setChecksum(
                at: start + 20, length: length, protocol: .tcp, source: client.address, destination: server.address)
        }
        return bytes
    }

    private func tcp(_ packet: [UInt8]) throws -> (header: TCPHeader, payload: [UInt8]) {
        let ip = try IPHeader.parse(packet.span.bytes)
        let segment = packet.span.bytes.extracting(ip.upperLayer)
        let isValid = Checksum.isValid(
            segment: segment, source: ip.source, destination: ip.destination, protocol: IPProtocol.tcp)
        #expect(isValid)
        let header = try TCPHeader.parse(segment)
        return (header, Array(packet[(ip.headerLength + header.headerLength)...]))
    }
}
