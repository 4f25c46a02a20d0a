import Packets
import Primitives
import Server
import Testing

/// What a host does with the datagrams that come to one of its ports.
enum SimDatagramService {
    case echo
    /// Takes everything and says nothing.
    case sink
    /// The network answers with an error.
    case fails(DialFailure)
}

/// The UDP of a simulation: applications' packets on one side, the server's sockets and what is behind them on the other.
final class SimDatagrams {
    /// A datagram that an application got.
    struct Arrived: Equatable {
        var application: Endpoint
        var remote: Endpoint
        var payload: [UInt8]
    }

    /// An ICMP error that an application's kernel got.
    struct Refusal: Equatable {
        var application: Endpoint
        var destination: Endpoint
        var type: UInt8
        var code: UInt8
    }

    /// A datagram that left a socket of the server.
    struct Sent: Equatable {
        var socket: OutboundID
        var destination: Endpoint
        var payload: [UInt8]
    }

    var services: [Endpoint: SimDatagramService] = [:]
    /// What the program answers when it is asked for a socket.
    var socketFailure: DialFailure?
    private(set) var arrived: [Arrived] = []
    private(set) var refusals: [Refusal] = []
    private(set) var sent: [Sent] = []
    /// Runs that held more than one datagram.
    private(set) var runs = 0
    private(set) var sockets: Set<OutboundID> = []
    private(set) var socketsOpened = 0
    /// Fragments that wait for the next one, by identification; they come in order.
    private var partial: [UInt32: [UInt8]] = [:]

    func payloads(of application: Endpoint) -> [[UInt8]] {
        arrived.filter { $0.application == application }.map(\.payload)
    }

    // MARK: - Sockets

    func open(_ id: OutboundID, _ server: ServerEngine, now: Instant) {
        if let socketFailure { return server.dialFailed(id, socketFailure, now: now) }
        sockets.insert(id)
        socketsOpened += 1
        server.datagramSocketOpened(id, bound: Endpoint("192.0.2.2:50000")!, now: now)
    }

    func close(_ id: OutboundID) { sockets.remove(id) }

    /// Sends what the server has for its sockets; the services answer at once.
    func exchange(_ server: ServerEngine, now: Instant) -> Bool {
        var isBusy = false
        while let run = server.nextDatagrams() {
            isBusy = true
            guard sockets.contains(run.id) else { continue }
            if run.count > 1 { runs += 1 }
            for payload in Self.cut(run) {
                sent.append(Sent(socket: run.id, destination: run.destination, payload: payload))
                switch services[run.destination] ?? .fails(.refused) {
                case .echo: receive(payload, from: run.destination, on: run.id, server, now: now)
                case .sink: break
                case .fails(let failure): server.datagramFailed(run.id, to: run.destination, failure, now: now)
                }
            }
        }
        return isBusy
    }

    static func cut(_ run: OutboundDatagrams) -> [[UInt8]] {
        guard run.segmentSize > 0 else { return [[]] }
        let pieces = stride(from: 0, to: run.bytes.count, by: run.segmentSize).map {
            Array(run.bytes[$0..<min($0 + run.segmentSize, run.bytes.count)])
        }
        precondition(pieces.count == run.count, "a run does not hold what it says")
        return pieces
    }

    /// A datagram comes to a socket of the server.
    func receive(_ payload: [UInt8], from remote: Endpoint, on id: OutboundID, _ server: ServerEngine, now: Instant) {
        payload.withUnsafeBytes { server.datagramReceived(id, from: remote, $0, now: now) }
    }

    // MARK: - Packets of applications

    static func packet(from source: Endpoint, to destination: Endpoint, _ payload: [UInt8]) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: UDPHeader.byteCount) + payload
        message.withUnsafeMutableBytes { bytes in
            PacketWriter.writeUDPHeader(
                to: bytes.baseAddress!, sourcePort: source.port, destinationPort: destination.port,
                payloadLength: payload.count)
            PacketWriter.setChecksum(
                at: bytes.baseAddress!, length: bytes.count, protocol: .udp, source: source.address,
                destination: destination.address)
        }
        var header = [UInt8](repeating: 0, count: PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4))
        header.withUnsafeMutableBytes { bytes in
            _ = PacketWriter.writeIPHeader(
                to: bytes.baseAddress!, source: source.address, destination: destination.address,
                protocol: IPProtocol.udp, payloadLength: message.count)
        }
        return header + message
    }

    /// Notes a packet for an application if it is UDP or an ICMP error.
    func hear(_ packet: [UInt8]) {
        guard let ip = try? IPHeader.parse(packet.span.bytes) else { return }
        var message = Array(packet[ip.headerLength..<ip.totalLength])
        switch ip.protocol {
        case IPProtocol.udp:
            if ip.isFragment {
                message = partial[ip.identification, default: []] + message
                partial[ip.identification] = ip.moreFragments ? message : nil
                if ip.moreFragments { return }
            }
            guard let udp = try? UDPHeader.parse(message.span.bytes), udp.length == message.count else { return }
            arrived.append(
                Arrived(
                    application: Endpoint(ip.destination, udp.destinationPort),
                    remote: Endpoint(ip.source, udp.sourcePort), payload: Array(message[UDPHeader.byteCount...])))
        case IPProtocol.icmp where ip.isIPv4, IPProtocol.icmpv6 where !ip.isIPv4:
            noteError(message)
        default: break
        }
    }

    private func noteError(_ message: [UInt8]) {
        let quoted = Array(message.dropFirst(8))
        guard message.count > 8, let ip = try? IPHeader.parseQuoted(quoted.span.bytes), ip.protocol == IPProtocol.udp
        else { return }
        let ports = quoted[ip.headerLength...].prefix(4).map { UInt16($0) }
        guard ports.count == 4 else { return }
        refusals.append(
            Refusal(
                application: Endpoint(ip.source, ports[0] << 8 | ports[1]),
                destination: Endpoint(ip.destination, ports[2] << 8 | ports[3]), type: message[0], code: message[1]))
    }
}
