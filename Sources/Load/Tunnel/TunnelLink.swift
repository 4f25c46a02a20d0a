import Primitives
import QuicTransport
import Sealing
import Tunnel

/// One connection to a server of Penstock, whose flows are the load's: the tunnel's protocol (docs/PROTOCOL.md) without a
/// TUN and without packets. No system calls, no clock.
///
/// After every call: `nextEvent` and `nextBatch` until they have nothing more, then sleep until `nextDeadline`.
public final class TunnelLink {
    /// A flow that found no memory tries again after this time.
    static let memoryRetry = Interval.milliseconds(10)

    enum Phase {
        case handshaking
        /// The control stream is open: key exchange, hello, and the server's decision.
        case greeting(ControlStream, QuicStream, hasSaidHello: Bool, deadline: Instant)
        case up(Session, maximumFlows: Int)
        case lost
    }

    struct Session {
        let keys: SessionKeys
        let control: ControlStream
        let controlStream: QuicStream
    }

    let settings: TunnelSettings
    let pool: BlockPool
    let connection: QuicConnection
    var phase = Phase.handshaking
    var random: any RandomNumberGenerator
    /// By `context` of their streams.
    var channels: [TunnelChannel?] = []
    private var freePlaces: [Int] = []
    /// By their streams.
    private var associations: [Int64: TunnelDatagramChannel] = [:]
    /// Where datagrams are opened, and put together for the stream.
    let datagramMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: DatagramChannel.maximumRecord, alignment: 16)
    /// Flows and associations.
    private(set) var openChannels = 0
    /// Flows that the peer allows no stream for as yet.
    private var waiting: [TunnelChannel] = []
    /// Flows that found no memory to write to.
    private var starved: [TunnelChannel] = []
    private var retry: Instant?
    private var events: [TunnelEvent] = []
    private(set) var last: Instant

    public init(
        to remote: Endpoint, local: Endpoint, settings: TunnelSettings, pool: BlockPool,
        random: any RandomNumberGenerator, now: Instant
    ) throws(ConnectError) {
        self.settings = settings
        self.pool = pool
        self.random = random
        last = now
        connection = try QuicConnection.client(
            to: remote, local: local, trust: settings.trust, identity: settings.identity, settings: settings.transport,
            pool: pool, random: random, now: now)
        connection.owner = self
    }

    deinit { datagramMemory.deallocate() }

    public var isUp: Bool {
        if case .up = phase { true } else { false }
    }

    public var statistics: ConnectionStatistics { connection.statistics }

    // MARK: - In

    public func handleDatagram(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) {
        last = now
        connection.handle(datagram, from: remote, to: local, ecn: ecn, now: now)
        carryOutEvents()
    }

    public func handleTimeout(now: Instant) {
        last = now
        if case .greeting(_, _, _, let deadline) = phase, deadline <= now {
            close(.protocolViolation, "no welcome")
            lose("the server did not answer the key exchange or the login in time")
        }
        if let deadline = connection.nextDeadline, deadline <= now { connection.handleTimeout(now: now) }
        carryOutEvents()
        feedStarved(now: now)
    }

    /// The network refused a datagram for the server: before the connection is up, that is the end.
    public func sendFailed(_ reason: String, now: Instant) {
        last = now
        guard case .handshaking = phase else { return }
        close(.noError, "")
        lose("the server \(connection.remote) cannot be reached: \(reason)")
    }

    /// Ends in order; the server is told by the next batch.
    public func stop(now: Instant) {
        last = now
        close(.noError, "load ends")
        carryOutEvents()
    }

    // MARK: - Out

    public var nextDeadline: Instant? {
        var deadline = earliest(connection.nextDeadline, retry)
        if case .greeting(_, _, _, let end) = phase { deadline = earliest(deadline, end) }
        return deadline
    }

    public func nextEvent() -> TunnelEvent? { events.isEmpty ? nil : events.removeFirst() }

    /// The next datagrams for the server.
    public func nextBatch(into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> OutgoingBatch? {
        last = now
        let batch = connection.nextBatch(into: buffer, now: now)
        carryOutEvents()
        return batch
    }

    // MARK: - The connection

    func carryOutEvents() {
        while let event = connection.nextEvent() {
            switch event {
            case .established: greet()
            case .pathValidated, .pathFailed: break  // a link never moves
            case .closed(let reason): lose(describe(reason))
            }
        }
    }

    private func describe(_ reason: CloseReason) -> String {
        switch reason {
        case .peerClosed(let code, true, let message):
            if code == TunnelErrorCode.authenticationFailed.rawValue, case .greeting = phase {
                return "the server refused the key exchange: is 'server-key' the key of this server?"
            }
            return "the server closed the connection: \(TunnelErrorCode.describe(code))"
                + (message.isEmpty ? "" : " (\(message))")
        case .handshakeTimeout:
            return "the server \(connection.remote) does not answer: is the address right, does the server run, "
                + "and does no firewall drop UDP?"
        case .localClose, .peerClosed, .idleTimeout, .statelessReset, .certificateRejected, .alpnMismatch,
            .versionMismatch, .limitExceeded, .protocolError, .internalError:
            return "\(reason)"
        }
    }

    /// The handshake is complete: the control stream, and on it the key exchange.
    private func greet() {
        guard
            let exporter = connection.exportKeyingMaterial(
                label: KeyExchangeBinding.exporterLabel, context: [], count: KeyExchangeBinding.exporterSize),
            let stream = connection.openStream()
        else {
            close(.internalError, "no control stream")
            return lose("the server allows no streams")
        }
        // A generator that is a value would give its copy the numbers that come here next.
        let copy = random
        _ = random.next()
        let control = ControlStream(
            client: settings.keyPair, server: settings.serverKey, cipher: settings.cipher, exporter: exporter,
            random: copy)
        stream.context = -1
        do throws(ControlError) {
            _ = try control.start(to: stream)
        } catch {
            close(.internalError, "no key exchange")
            return lose("'server-key' cannot be used: \(error)")
        }
        phase = .greeting(control, stream, hasSaidHello: false, deadline: last + settings.welcomeTimeout)
    }

    private func lose(_ reason: String) {
        if case .lost = phase { return }
        phase = .lost
        events.append(.lost(reason))
        let all = channels.compactMap(\.self) + waiting
        let allAssociations = associations.values
        channels = []
        associations = [:]
        waiting = []
        starved = []
        retry = nil
        openChannels = 0
        for channel in all { channel.fail(.tunnelLost) }
        for association in allAssociations { association.fail(.tunnelLost) }
    }

    func close(_ code: TunnelErrorCode, _ message: String) {
        connection.close(code: code.rawValue, message: message, now: last)
    }

    // MARK: - The control stream

    func receiveControl(_ bytes: UnsafeRawBufferPointer, on stream: QuicStream) {
        let control: ControlStream
        switch phase {
        case .greeting(let current, _, _, _): control = current
        case .up(let session, _): control = session.control
        case .handshaking, .lost: return
        }
        connection.extendCredit(on: stream, by: bytes.count)
        do throws(ControlError) {
            try control.receive(bytes, answeringTo: stream)
        } catch {
            close(.sealingFailed, "control stream: \(error)")
            if case .keyExchange = error { lose("the server does not have the key that 'server-key' names: \(error)") }
            return
        }
        sayHelloIfDue()
        while let message = control.nextMessage() {
            do throws(MessageError) {
                try receive(message)
            } catch {
                return close(.protocolViolation, "control stream: \(error)")
            }
        }
    }

    /// The server has proved its key: now it may know who wants to come in.
    private func sayHelloIfDue() {
        guard case .greeting(let control, let stream, hasSaidHello: false, let deadline) = phase, control.keys != nil
        else { return }
        phase = .greeting(control, stream, hasSaidHello: true, deadline: deadline)
        var hello = Hello(software: settings.software, user: settings.user).encode()
        defer { SecretBytes.wipe(&hello) }
        if !control.send(hello, to: stream) { close(.internalError, "no memory") }
    }

    private func receive(_ message: [UInt8]) throws(MessageError) {
        switch phase {
        case .greeting(let control, let stream, _, _):
            switch try LoginAnswer(parsing: message) {
            case .welcome(let welcome):
                guard let keys = control.keys else { return }
                let session = Session(keys: keys, control: control, controlStream: stream)
                phase = .up(session, maximumFlows: Int(welcome.maximumFlows))
                events.append(.connected(software: welcome.software, maximumFlows: Int(welcome.maximumFlows)))
            case .denied(let refusal):
                close(.noError, "")
                lose("\(refusal)")
            }
        case .up(let session, _):
            try receive(message, session)
        case .handshaking, .lost:
            break
        }
    }

    /// A run of the load is shorter than the life of a key: it asks for no other.
    private func receive(_ message: [UInt8], _ session: Session) throws(MessageError) {
        switch try ControlMessage.known(message) {
        case .ping(let number):
            guard session.controlStream.buffered <= ControlStream.maximumBacklog,
                session.control.send(ControlMessage.pong(number).encode(), to: session.controlStream)
            else { return close(.resourceLimit, "control stream: too many answers wait to be read") }
        case .drain(let reason):
            events.append(.notice("the server stops soon: \(reason)"))
        case .kick(let code, let reason):
            events.append(.notice("the server ends this connection: \(TunnelErrorCode.describe(code)), \(reason)"))
        case .pong, .denied, .rekey, .rekeyAnswer, .rekeyDone, nil:
            break
        }
    }

    // MARK: - Flows

    func open(_ flow: LoadFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> TunnelChannel
    {
        last = now
        guard case .up(_, let maximumFlows) = phase else { throw .tunnelLost }
        guard openChannels < maximumFlows else { throw .tooManyFlows }
        let channel = TunnelChannel(flow: flow, link: self, destination: destination)
        openChannels += 1
        // One that came before and still waits has the first claim to a stream.
        if !waiting.isEmpty || !start(channel) { waiting.append(channel) }
        return channel
    }

    /// Gives a flow its stream. False when there is none to be had now.
    private func start(_ channel: TunnelChannel) -> Bool {
        guard case .up(let session, _) = phase, let stream = connection.openStream() else { return false }
        let sealed = FlowStream(keys: session.keys, stream: stream.id.rawValue, role: .client)
        let place = freePlaces.popLast() ?? channels.count
        if place == channels.count { channels.append(channel) } else { channels[place] = channel }
        stream.context = place
        channel.begin(stream, sealed)
        return true
    }

    func startWaiting() {
        while let channel = waiting.first, channel.isOver || start(channel) { waiting.removeFirst() }
    }

    /// A channel is over, and its place free.
    func forget(_ channel: TunnelChannel) {
        guard !channels.isEmpty || !waiting.isEmpty else { return }
        openChannels -= 1
        guard let stream = channel.stream else { return waiting.removeAll { $0 === channel } }
        guard channels.indices.contains(stream.context), channels[stream.context] === channel else { return }
        channels[stream.context] = nil
        freePlaces.append(stream.context)
        stream.context = -1
    }

    // MARK: - Associations

    func open(_ flow: DatagramFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> TunnelDatagramChannel
    {
        last = now
        guard case .up(let session, let maximumFlows) = phase else { throw .tunnelLost }
        // Streams that the server does not allow yet are not waited for: datagrams would be late.
        guard openChannels < maximumFlows, let stream = connection.openStream() else { throw .tooManyFlows }
        let channel = TunnelDatagramChannel(
            flow: flow, link: self, keys: session.keys, stream: stream, destination: destination)
        associations[stream.id.rawValue] = channel
        openChannels += 1
        return channel
    }

    func forget(_ association: TunnelDatagramChannel) {
        if associations.removeValue(forKey: association.stream.id.rawValue) != nil { openChannels -= 1 }
    }

    func association(of stream: Int64) -> TunnelDatagramChannel? { associations[stream] }

    // MARK: - Streams

    func channel(of stream: QuicStream) -> TunnelChannel? {
        guard channels.indices.contains(stream.context), let channel = channels[stream.context],
            channel.stream === stream
        else { return nil }
        return channel
    }

    /// The channel wants to write and found no memory.
    func starve(_ channel: TunnelChannel) {
        starved.append(channel)
        retry = retry ?? last + Self.memoryRetry
    }

    private func feedStarved(now: Instant) {
        guard let retry, retry <= now else { return }
        self.retry = nil
        let hungry = starved
        starved = []
        for channel in hungry { channel.makeWritable() }
    }
}
