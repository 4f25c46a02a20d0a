import Primitives
import QuicTransport
import Sealing

/// What the load needs to know to speak to a server of Penstock.
public struct TunnelSettings: Sendable {
    public var transport = TransportSettings()
    public var trust: ServerTrust
    public var key: PreSharedKey
    public var cipher = Cipher.aes256gcm
    /// Name and version, told to the server.
    public var software = "penstock load"
    /// How long the server may take to answer the hello, after the QUIC handshake.
    public var welcomeTimeout: Interval = .seconds(10)

    public init(trust: ServerTrust, key: PreSharedKey) {
        self.trust = trust
        self.key = key
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
