import Primitives
import QuicTransport
import Sealing
import Testing
import Tunnel

@testable import Client
@testable import Server

extension DatagramChannel {
    func sealed(_ payload: [UInt8], _ endpoint: Endpoint) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: sealedSize(payload.count, endpoint))
        let count = bytes.withUnsafeMutableBytes { room in
            payload.withUnsafeBytes { seal($0, endpoint, into: room) } ?? 0
        }
        return Array(bytes[..<count])
    }

    func record(_ payload: [UInt8], _ endpoint: Endpoint) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.maximumRecord)
        let count = bytes.withUnsafeMutableBytes { room in
            payload.withUnsafeBytes { writeRecord($0, endpoint, to: room) }
        }
        return Array(bytes[..<count])
    }
}

/// UDP of a peer that keeps no rule: at the server first, then at the client.
struct HostileDatagramTests {
    static let host = Endpoint("203.0.113.2:7")!
    static let application = Endpoint("198.18.0.1:30000")!

    /// An association of a hostile client that the server has answered.
    struct Association {
        let stream: QuicStream
        let sealed: FlowStream
        let channel: DatagramChannel
    }

    static func request(_ destination: Endpoint = host) -> [UInt8] {
        FlowRequest(.udp, to: .endpoint(destination)).encode()
    }

    static func associate(_ net: HostileClient, opensSocket: Bool = true) -> Association {
        let (stream, sealed) = net.flow()
        net.peer.send(sealed.sealedBytes(message: request()), on: stream)
        net.run(for: .milliseconds(10))
        if opensSocket {
            net.server.datagramSocketOpened(net.dials.last!, bound: nil, now: net.now)
            net.run(for: .milliseconds(10))
        }
        let channel = DatagramChannel(
            keys: net.peer.keys, stream: stream.id.rawValue, role: .client, requested: host)
        return Association(stream: stream, sealed: sealed, channel: channel)
    }

    static func expectNothingLeft(_ net: HostileClient) {
        net.connection.close(code: 0x100, message: "", now: net.now)
        net.run(for: .seconds(40))
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.server.datagramCounters.associationsOpen == 0)
        #expect(net.serverPool.outstanding == 0)
        #expect(Set(net.closes) == Set(net.dials) && net.closes.count == net.dials.count)
    }

    // MARK: - The server

    @Test func rubbishIsDroppedAndCounted() throws {
        let net = try HostileClient()
        net.greet()
        let association = Self.associate(net)
        let good = association.channel.sealed([1], Self.host)
        var changed = association.channel.sealed([2], Self.host)
        changed[changed.count - 1] ^= 1
        let rubbish: [[UInt8]] = [
            [], [0], [0xFF], [0x3F, 0], Array(good[..<10]), changed, good + [0], [UInt8](repeating: 0, count: 100),
            [UInt8](repeating: 0xFF, count: 1_000),
        ]
        for datagram in rubbish { net.peer.send(datagram: datagram, now: net.now) }
        net.run()
        #expect(net.takeDatagrams().isEmpty)
        let counters = net.server.datagramCounters
        #expect(counters.withoutAssociation + counters.unsealable == rubbish.count)
        for _ in 0..<3 { net.peer.send(datagram: good, now: net.now) }
        net.run()
        #expect(net.takeDatagrams().map(\.payload) == [[1]])
        #expect(net.server.datagramCounters.replayed == 2)
        #expect(net.peer.closeReason == nil)
        Self.expectNothingLeft(net)
    }

    /// Nobody sends a datagram before the server knows who it is, nor for a stream that is none of UDP's.
    @Test func datagramsWithoutAnAssociation() throws {
        let net = try HostileClient()
        let channel = DatagramChannel(
            keys: net.peer.keys, stream: 4, role: .client, requested: Self.host)
        net.peer.send(datagram: channel.sealed([1], Self.host), now: net.now)
        net.run()
        net.greet()
        let flow = net.connectedFlow()
        #expect(flow.stream.id.rawValue == 4)
        net.peer.send(datagram: channel.sealed([1], Self.host), now: net.now)
        net.run()
        #expect(net.takeDatagrams().isEmpty)
        #expect(net.server.datagramCounters.withoutAssociation >= 1)
        Self.expectNothingLeft(net)
    }

    @Test func impossibleRecordsEndTheAssociation() throws {
        for length: [UInt8] in [[0, 0, 0, 0], [0, 1, 0, 11], [0xFF, 0xFF, 0xFF, 0xFF]] {
            let net = try HostileClient()
            net.greet()
            let association = Self.associate(net)
            net.peer.send(association.sealed.sealedBytes(length), on: association.stream)
            net.run()
            #expect(
                net.peer.resets[association.stream.id.rawValue] == TunnelErrorCode.protocolViolation.rawValue)
            #expect(net.server.counters.flowsOpen == 0)
            Self.expectNothingLeft(net)
        }
    }

    /// A record without end holds no more than its own bytes, and those go when the stream does.
    @Test func aRecordThatNeverEndsIsBounded() throws {
        let net = try HostileClient()
        net.greet()
        let association = Self.associate(net)
        let record = association.channel.record([UInt8](repeating: 1, count: 65_507), Self.host)
        net.peer.send(association.sealed.sealedBytes(Array(record.dropLast())), on: association.stream)
        net.run()
        #expect(net.takeDatagrams().isEmpty)
        #expect(net.serverPool.outstanding < 8)
        net.connection.finish(association.stream)
        net.run()
        #expect(net.server.counters.flowsOpen == 0)
        Self.expectNothingLeft(net)
    }

    /// A client that sends faster than the program takes is bounded by the outbox, not by memory.
    @Test func theOutboxIsBounded() throws {
        let net = try HostileClient()
        net.greet()
        let association = Self.associate(net)
        let record = association.channel.record([UInt8](repeating: 1, count: 60_000), Self.host)
        for _ in 0..<30 {
            net.peer.send(association.sealed.sealedBytes(record), on: association.stream)
            net.run(for: .milliseconds(50))
        }
        let dropped = net.server.datagramCounters.droppedForOutbox
        #expect(dropped > 10)
        #expect(net.takeDatagrams().count == 30 - dropped)
        // Once it is empty, it takes again.
        net.peer.send(association.sealed.sealedBytes(record), on: association.stream)
        net.run()
        #expect(net.takeDatagrams().count == 1)
        Self.expectNothingLeft(net)
    }

    /// A client that reads nothing gets no more than the limit of its stream and the queue of datagrams.
    @Test func aClientThatReadsNothingIsBounded() throws {
        let net = try HostileClient(configure: { $0.maximumStreamedDatagramBytes = 200_000 })
        net.greet()
        let association = Self.associate(net)
        net.peer.passesOn = false
        let large = [UInt8](repeating: 7, count: 50_000)
        for _ in 0..<200 {
            large.withUnsafeBytes { net.server.datagramReceived(net.dials[0], from: Self.host, $0, now: net.now) }
            net.run(for: .milliseconds(50))
        }
        #expect(net.server.datagramCounters.droppedForStream > 0)
        #expect(net.serverPool.outstanding * BlockPool.blockSize < 1 << 20)
        _ = association
        Self.expectNothingLeft(net)
    }

    @Test func aResetEndsTheAssociation() throws {
        let net = try HostileClient()
        net.greet()
        for opensSocket in [true, false] {
            let association = Self.associate(net, opensSocket: opensSocket)
            net.connection.reset(association.stream, code: 0x101)
            net.run()
            #expect(net.server.counters.flowsOpen == 0)
            #expect(net.server.datagramCounters.associationsOpen == 0)
        }
        // What the program still says of it is nobody's business.
        net.server.datagramSocketOpened(net.dials[1], bound: nil, now: net.now)
        [1].withUnsafeBytes { net.server.datagramReceived(net.dials[0], from: Self.host, $0, now: net.now) }
        net.server.datagramFailed(net.dials[0], to: Self.host, .refused, now: net.now)
        Self.expectNothingLeft(net)
    }

    /// A program that never answers does not hold a place for ever.
    @Test func aSocketThatNeverOpensIsGivenUp() throws {
        let net = try HostileClient()
        net.greet()
        let association = Self.associate(net, opensSocket: false)
        net.run(for: .seconds(29))
        net.peer.send(datagram: association.channel.sealed([1], Self.host), now: net.now)
        for _ in 0..<4 {
            net.run(for: .seconds(10))
            // Something must be said, or the connection ends first.
            net.peer.send(datagram: [0], now: net.now)
        }
        #expect(net.server.counters.flowsOpen == 0)
        Self.expectNothingLeft(net)
    }

    // MARK: - The client

    /// The stream of the client's association, and the server's end of it.
    static func serve(_ net: HostileServer) -> (sealed: FlowStream, channel: DatagramChannel) {
        let stream = net.flowStream
        let channel = DatagramChannel(
            keys: net.peer.keys, stream: stream.id.rawValue, role: .server, requested: host)
        return (net.sealedFlow(), channel)
    }

    @Test func theClientDropsRubbish() throws {
        let net = try HostileServer()
        net.send([1], from: Self.application, to: Self.host)
        let (sealed, channel) = Self.serve(net)
        net.peer.send(sealed.sealedBytes(message: FlowReply(.succeeded).encode()), on: net.flowStream)
        net.run()
        let good = channel.sealed([5], Self.host)
        for datagram in [[], [1], [0x3F, 1, 2], Array(good.dropLast()), good + [0]] as [[UInt8]] {
            net.peer.send(datagram: datagram, now: net.now)
        }
        // Of another family than the application's: FlowNAT has no way to say it.
        net.peer.send(datagram: channel.sealed([6], Endpoint("[2001:db8::1]:7")!), now: net.now)
        net.peer.send(datagram: good, now: net.now)
        net.peer.send(datagram: good, now: net.now)
        net.run()
        #expect(net.datagrams.payloads(of: Self.application) == [[5]])
        #expect(net.client.datagramCounters.replayed == 1)
        #expect(net.client.datagramCounters.unsealable + net.client.datagramCounters.withoutAssociation == 5)
        #expect(net.disconnection == nil)
    }

    /// What makes no sense ends the stream, and the application's next datagram opens another.
    @Test(arguments: 0..<5)
    func aBadStreamIsReplaced(kind: Int) throws {
        let net = try HostileServer()
        net.send([1], from: Self.application, to: Self.host)
        let (sealed, _) = Self.serve(net)
        let stream = net.flowStream
        switch kind {
        case 0: net.peer.send([UInt8](repeating: 9, count: 200), on: stream)
        case 1: net.peer.send(sealed.sealedBytes(message: [1]), on: stream)
        case 2:
            let reply = sealed.sealedBytes(message: FlowReply(.succeeded).encode())
            net.peer.send(reply + sealed.sealedBytes([0, 0, 0, 0]), on: stream)
        case 3: net.peer.connection?.reset(stream, code: 0x101)
        default: net.peer.connection?.stopReceiving(stream, code: 0x101)
        }
        net.run()
        #expect(net.client.associationCount == 0)
        net.send([2], from: Self.application, to: Self.host)
        #expect(net.flowStream !== stream)
        #expect(net.client.associationCount == 1)
        #expect(net.disconnection == nil)
    }

    /// A refusal is not asked again at once, and the application is told what the server said.
    @Test func aRefusalIsTold() throws {
        let net = try HostileServer()
        net.send([1], from: Self.application, to: Self.host)
        let (sealed, _) = Self.serve(net)
        let stream = net.flowStream
        net.peer.send(sealed.sealedBytes(message: FlowReply(.commandNotSupported).encode()), on: stream)
        net.run()
        for _ in 0..<5 { net.send([2], from: Self.application, to: Self.host) }
        #expect(net.flowStream === stream)
        #expect(net.datagrams.refusals.count == 6)
        #expect(net.datagrams.refusals.allSatisfy { $0.type == 3 && $0.code == 13 })
        net.run(for: .seconds(1))
        net.send([3], from: Self.application, to: Self.host)
        #expect(net.flowStream !== stream)
    }

    /// With no tunnel, the network is unreachable.
    @Test func withoutATunnelTheNetworkIsUnreachable() throws {
        let net = try HostileServer(welcomes: false)
        net.send([1], from: Self.application, to: Self.host)
        #expect(
            net.datagrams.refusals
                == [.init(application: Self.application, destination: Self.host, type: 3, code: 0)])
        #expect(net.client.datagramCounters.droppedWithoutTunnel == 1)
    }
}
