import FlowNAT
import Primitives
import QuicTransport
import Sealing

/// What a client engine needs to know; all of it comes from the configuration.
public struct ClientSettings: Sendable {
    public var flows = FlowSettings()
    public var transport = TransportSettings()
    public var trust: ServerTrust
    /// What the client shows a server that asks for a certificate.
    public var identity: ClientIdentity?
    public var key: PreSharedKey
    public var cipher = Cipher.aes256gcm
    /// Name and version, told to the server.
    public var software = "penstock"
    /// How long the program may take to answer `.connectionWanted`: to resolve the server's name.
    public var lookupTimeout: Interval = .seconds(60)
    /// How long the server may take to answer the hello, after the QUIC handshake.
    public var welcomeTimeout: Interval = .seconds(10)
    /// How long a connection may take to be ready to move to another network, before another is made in its place.
    public var migrationPatience: Interval = .seconds(2)
    /// Moves in a row, each with a socket of its own and some three seconds to be answered, before another connection is made.
    public var migrationAttempts = 3
    /// Reconnecting waits this long at first, then twice as long each time, with jitter.
    public var firstReconnectDelay: Interval = .milliseconds(500)
    public var maximumReconnectDelay: Interval = .seconds(30)
    /// Bytes of datagrams that may be on their way over an association's stream while the server has not answered:
    /// the largest one has room behind the request.
    public var maximumEarlyDatagramBytes = 128 << 10
    /// The same afterwards, of datagrams that are larger than a packet.
    public var maximumStreamedDatagramBytes = 512 << 10
    /// How long an application is told of a refused association before the server is asked again.
    public var refusedAssociationPause: Interval = .seconds(1)

    public init(trust: ServerTrust, key: PreSharedKey) {
        self.trust = trust
        self.key = key
        transport.keepAlive = .seconds(10)
        // Streams come from the client alone.
        transport.maximumStreams = 0
    }
}
