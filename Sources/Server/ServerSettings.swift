import Primitives
import QuicTransport
import Sealing

/// What a server engine needs to know; all of it comes from the configuration.
public struct ServerSettings: Sendable {
    public var transport = TransportSettings()
    public var identity: ServerIdentity
    /// By its public key clients know the server.
    public var keyPair: KeyPair
    /// Ciphers that a client may choose from.
    public var ciphers = Cipher.allCases
    /// Name and version, told to clients.
    public var software = "penstock"
    public var policy = DialPolicy()
    public var names = NameSettings()
    /// Keeps stateless resets valid over a restart: 32 bytes that only this server can know.
    public var resetKey: [UInt8]
    /// Keeps the tokens by which clients are known (RFC 9000, section 8.1.3) valid over a restart: 32 bytes that only this
    /// server can know; nil for others each time.
    public var tokenSecret: [UInt8]?
    /// The number of this engine's loop among those that share a port: every connection ID made here begins with it.
    public var loop: UInt8 = 0
    public var maximumConnections = 1_024
    /// Of them, those that have not logged in; when there are more, the oldest makes room.
    public var maximumNewcomers = 256
    public var alwaysRetry = false
    public var maximumFlowsPerConnection = 4_096
    /// Flows of all clients together; each may hold a socket.
    public var maximumFlows = 262_144
    /// Dials under way per connection, each attempt of a flow to a name among them. A client that asks for more is told to wait its turn (`tooManyFlows`), so that
    /// dials that hang do not block anybody else.
    public var maximumDialsPerConnection = 1_024
    /// Flows that a client may give up before they are answered, at once and in each second; beyond that its connection is
    /// closed with `resourceLimit`.
    public var abandonedFlowBurst = 8_192
    public var abandonedFlowsPerSecond = 512
    /// A dial that nobody answers is given up after so long.
    public var dialTimeout: Interval = .seconds(60)
    /// UDP associations of one client, and of all clients together; each has a socket.
    public var maximumAssociationsPerConnection = 3_072
    public var maximumAssociations = 16_384
    /// How long an association lasts after the client's last datagram (RFC 4787, section 4.3, REQ-5: two minutes at least,
    /// five recommended).
    public var associationTimeout: Interval = .seconds(300)
    /// The same while it has asked name servers (port 53) alone (REQ-5a).
    public var nameLookupTimeout: Interval = .seconds(30)
    /// Bytes of datagrams larger than a packet that may be on their way over an association's stream.
    public var maximumStreamedDatagramBytes = 512 << 10
    /// How long a client may take for key exchange and hello, after the QUIC handshake.
    public var helloTimeout: Interval = .seconds(10)
    /// How long the program may take to decide about a client, and about how many at once; a client beyond that, or not
    /// decided about in time, is told to come again after so many seconds.
    public var loginTimeout: Interval = .seconds(10)
    public var maximumPendingLogins = 256
    public var busyRetrySeconds: UInt32 = 5
    /// How long a client that is sent away has to take the message that says why.
    public var farewellTime: Interval = .seconds(3)
    /// Key exchanges that a client may ask for, at once and in each second; beyond that its connection is closed with
    /// `resourceLimit`.
    public var rekeyBurst = 16
    public var rekeysPerSecond = 1
    /// How long after a key exchange the secret before it is kept, for what is still on its way.
    public var oldKeyTime: Interval = .seconds(120)
    /// Sealed bytes that may wait on a stream before its socket is no longer read, however fast the path is.
    public var unsentLimit = 512 << 10
    /// The same once three quarters of the pool are in use, so that many slow readers slow down and are not cut.
    public var unsentLimitUnderPressure = 32 << 10

    public init(identity: ServerIdentity, keyPair: KeyPair, resetKey: [UInt8]) {
        self.identity = identity
        self.keyPair = keyPair
        self.resetKey = resetKey
    }
}
