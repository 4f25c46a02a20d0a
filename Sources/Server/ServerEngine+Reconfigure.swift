import Primitives
import QuicTransport
import Tunnel

// What changes while the server runs.

extension ServerEngine {
    static func limits(_ settings: ServerSettings) -> QuicEndpoint.Limits {
        var limits = QuicEndpoint.Limits()
        limits.connections = settings.maximumConnections
        limits.alwaysRetry = settings.alwaysRetry
        limits.retryFrom = min(limits.handshakes, settings.maximumNewcomers) / 2
        return limits
    }

    /// Takes over from `new` what can change while the server runs; everything else in it is passed over.
    ///
    /// No flow ends by it: a limit that was lowered and is exceeded holds for new flows, the policy for new dials and for
    /// every next datagram, the certificate and the ciphers for new connections. Only clients whose certificates are not
    /// good any more are sent away.
    public func reconfigure(_ new: ServerSettings, now: Instant) {
        last = now
        if new.policy != settings.policy {
            settings.policy = new.policy
            setPolicy(new.policy)
        }
        settings.ciphers = new.ciphers
        settings.maximumConnections = new.maximumConnections
        settings.maximumNewcomers = new.maximumNewcomers
        settings.maximumFlowsPerConnection = new.maximumFlowsPerConnection
        settings.maximumAssociations = new.maximumAssociations
        settings.maximumAssociationsPerConnection = new.maximumAssociationsPerConnection
        settings.dialTimeout = new.dialTimeout
        settings.associationTimeout = new.associationTimeout
        settings.nameLookupTimeout = new.nameLookupTimeout
        settings.alwaysRetry = new.alwaysRetry
        replaceIdentity(new.identity, now: now)
    }

    /// Another certificate for new connections, or other authorities and revocations for the certificates of clients:
    /// these are judged anew at once, those of clients that are connected included.
    public func replaceIdentity(_ identity: ServerIdentity, now: Instant) {
        last = now
        settings.identity = identity
        endpoint.change(
            identity: identity, limits: Self.limits(settings),
            // One stream more than flows: the control stream.
            maximumStreams: settings.maximumFlowsPerConnection + 1)
        for session in sessions {
            if let session { _ = refuseBadCertificate(session) }
        }
    }
}
