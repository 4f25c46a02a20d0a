import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What the load needs to know to speak to a server of Penstock.
public struct TunnelSettings: Sendable {
    public var transport = TransportSettings()
    public var trust: ServerTrust
    /// What is shown to a server that asks for a certificate.
    public var identity: ClientIdentity?
    public var serverKey: PublicKey
    public var keyPair: KeyPair
    public var user: UserLogin?
    public var cipher = Cipher.fastest
    /// Name and version, told to the server.
    public var software = "penstock load"
    /// How long the server may take for key exchange and login, after the QUIC handshake.
    public var welcomeTimeout: Interval = .seconds(20)

    public init(trust: ServerTrust, serverKey: PublicKey, keyPair: KeyPair) {
        self.trust = trust
        self.serverKey = serverKey
        self.keyPair = keyPair
        // Streams come from this side alone.
        transport.maximumStreams = 0
        transport.keepAlive = .seconds(10)
    }
}

/// What a link tells the program.
public enum TunnelEvent: Hashable, Sendable {
    /// Flows can be opened.
    case connected(software: String, maximumFlows: Int)
    /// The link is over, and so are all its flows.
    case lost(String)
    /// The server wants this to be known.
    case notice(String)
}
