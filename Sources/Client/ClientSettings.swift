import FlowNAT
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What a client engine needs to know; all of it comes from the configuration.
public struct ClientSettings: Sendable {
    public var flows = FlowSettings()
    public var transport = TransportSettings()
    public var trust: ServerTrust
    /// What the client shows a server that asks for a certificate.
    public var identity: ClientIdentity?
    /// By it the client knows the server inside the tunnel, whatever its certificate says.
    public var serverKey: PublicKey
    /// The client's own key, by which the server may know it.
    public var keyPair: KeyPair
    /// For servers that want a user name and a password.
    public var user: UserLogin?
    public var cipher = Cipher.fastest
    /// Name and version, told to the server.
    public var software = "penstock"
    /// How long the program may take to answer `.connectionWanted`: to resolve the server's name.
    public var lookupTimeout: Interval = .seconds(60)
    /// How long the server may take for key exchange and login, after the QUIC handshake.
    public var welcomeTimeout: Interval = .seconds(20)
    /// Fresh keys are made after this time, or after so many bytes of either direction.
    public var rekeyInterval: Interval = .seconds(3_600)
    public var rekeyBytes: UInt64 = 64 << 30
    /// The least time between two key exchanges: the server allows one a second.
    public var rekeyPause: Interval = .seconds(2)
    /// How long the server may take to answer a key exchange.
    public var rekeyTimeout: Interval = .seconds(30)
    /// How long after a key exchange the secret before it is kept, for what is still on its way.
    public var oldKeyTime: Interval = .seconds(120)
    /// How long after a refusal that lasts (wrong credentials, an expired account) the server is asked again: somebody may
    /// have put it right.
    public var refusedLoginRetry: Interval = .seconds(300)
    /// The same after a refusal that may pass by itself, such as too many sessions.
    public var busyLoginRetry: Interval = .seconds(30)
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

    public init(trust: ServerTrust, serverKey: PublicKey, keyPair: KeyPair) {
        self.trust = trust
        self.serverKey = serverKey
        self.keyPair = keyPair
        transport.keepAlive = .seconds(10)
        // Streams come from the client alone.
        transport.maximumStreams = 0
    }
}
