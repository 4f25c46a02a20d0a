import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What attacks are made of: honest sessions, flows and associations, and the ways in which a server can refuse.
final class Scene {
    /// All that an honest flow or datagram ever says, so that anything else at the destination has no business there.
    static let good = Array("good\n".utf8)
    /// What must never arrive, not even a part of it: it fills several packets.
    static let evil = Array(repeatElement("evil\n".utf8, count: 1_800).joined())

    /// A part of it that fits into a packet.
    static let evilDatagram = Array(evil[..<1_000])

    let options: AttackOptions
    let network = Network()
    private let pool = BlockPool(byteLimit: 64 << 20)
    /// Good lines that the destination has got by TCP, and good datagrams: as many as it must have recorded, and no more.
    private(set) var lines = 0
    private(set) var datagrams = 0

    init(_ options: AttackOptions) { self.options = options }

    // MARK: - The honest parts

    /// A connection to the server, with nothing sent on it.
    func connect() throws(Failure) -> Session { try Session(options, network: network, pool: pool) }

    func logIn() throws(Failure) -> Session {
        let session = try connect()
        try session.logIn()
        return session
    }

    /// An open flow on a connection.
    func flow(on session: Session) throws(Failure) -> Flow {
        let flow = try Flow(session, network: network)
        try flow.write(try flow.sealedRequest(to: options.destination))
        try flow.awaitReply()
        return flow
    }

    /// A good line there and back. Returns its chunk as it was sent.
    @discardableResult
    func exchange(_ flow: Flow) throws(Failure) -> [UInt8] {
        let chunk = try flow.sealedChunk(Self.good)
        try flow.write(chunk)
        try awaitLine(flow)
        return chunk
    }

    /// Waits for the echo of a good line that was sent.
    func awaitLine(_ flow: Flow) throws(Failure) {
        let count = flow.echo.count + Self.good.count
        try flow.awaitEcho(of: count)
        guard flow.echo.suffix(Self.good.count) == Self.good[...], flow.echo.count == count else {
            throw .trouble("an honest flow was disturbed: its echo is another")
        }
        lines += 1
    }

    func association(on session: Session) throws(Failure) -> Association {
        let association = try Association(session, to: options.destination, network: network)
        try association.open()
        return association
    }

    /// A good datagram there and back. Returns it as it was sent.
    @discardableResult
    func exchange(_ association: Association) throws(Failure) -> [UInt8] {
        let datagram = try association.sealedDatagram(Self.good)
        try association.link.send(datagram: datagram)
        try awaitDatagram(association)
        return datagram
    }

    private func awaitDatagram(_ association: Association) throws(Failure) {
        let count = association.echoes.count + 1
        try association.awaitEchoes(count)
        guard association.echoes.count == count, association.echoes.last == Self.good else {
            throw .accepted("the destination got more datagrams than the honest ones")
        }
        datagrams += 1
    }

    // MARK: - Refusals

    /// The server ends the connection with this code.
    func expectClose(_ link: Connection, _ code: TunnelErrorCode) throws(Failure) -> String {
        guard try network.wait(until: { link.closed != nil }), let reason = link.closed else {
            throw .accepted("the connection goes on")
        }
        guard case .peerClosed(code.rawValue, application: true, _) = reason else {
            throw .accepted("the connection ended otherwise: \(reason)")
        }
        return "the connection was closed: \(code)"
    }

    /// The server resets the stream both ways, and has sent back no more than honest lines.
    func expectReset(_ flow: Flow, isFinished: Bool = false) throws(Failure) -> String {
        let code = TunnelErrorCode.sealingFailed
        let isOver = try network.wait { () throws(Failure) in
            let arrivals = flow.arrivals
            return arrivals.reset != nil && (arrivals.stopped != nil || isFinished)
        }
        guard isOver else { throw .accepted("the flow goes on") }
        let arrivals = flow.arrivals
        guard arrivals.reset == code.rawValue, arrivals.stopped == code.rawValue || isFinished else {
            throw .accepted("the flow was reset otherwise: \(TunnelErrorCode.describe(arrivals.reset ?? 0))")
        }
        return "the stream was reset: \(code)"
    }
}
