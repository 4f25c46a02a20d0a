import CNgtcp2
import Primitives

/// Which connection of a server owns a connection ID, and the counts that its limits are about.
final class ConnectionRouter {
    private var table: [ConnectionID: QuicConnection] = [:]
    /// Datagrams come in bursts: the last answer is mostly the next one too.
    @exclusivity(unchecked) private var recent: (identifier: ConnectionID, connection: QuicConnection)?
    @exclusivity(unchecked) private(set) var handshakes = 0
    /// The first byte of every identifier made here.
    let loop: UInt8
    private let resetKey: [UInt8]
    private let tokens: AddressTokens

    init(resetKey: [UInt8], tokens: AddressTokens, loop: UInt8) {
        self.resetKey = resetKey
        self.tokens = tokens
        self.loop = loop
    }

    /// Identifiers in use. Each connection has at most eight of its own (ngtcp2's limit) and the client's first choice.
    var count: Int { table.count }

    func find(_ identifier: ConnectionID) -> QuicConnection? {
        if let recent, recent.identifier == identifier { return recent.connection }
        guard let connection = table[identifier] else { return nil }
        recent = (identifier, connection)
        return connection
    }

    func add(_ identifier: ConnectionID, _ connection: QuicConnection) {
        recent = nil
        table[identifier] = connection
    }

    func remove(_ identifier: ConnectionID) {
        recent = nil
        table.removeValue(forKey: identifier)
    }

    func handshakeStarted() { handshakes += 1 }

    func handshakeEnded() { handshakes -= 1 }

    /// What a client at this address shows the next time to be known (NEW_TOKEN, RFC 9000, section 8.1.3).
    func makeToken(for remote: Endpoint, now: Instant) -> [UInt8]? { tokens.makeToken(for: remote, now: now) }

    /// The token by which the owner of `identifier` recognises that we have forgotten it (RFC 9000, section 10.3.2): the same
    /// for the same key and identifier, so that it holds over a restart.
    func resetToken(for identifier: UnsafePointer<ngtcp2_cid>, into token: UnsafeMutableRawPointer) {
        _ = ngtcp2_crypto_generate_stateless_reset_token(
            token.assumingMemoryBound(to: UInt8.self), resetKey, resetKey.count, identifier)
    }
}
