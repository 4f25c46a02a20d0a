import Primitives
import Tunnel

/// What an outbound flow has besides, when it carries datagrams: one socket of the server, whoever the far ends are.
final class ServerAssociation {
    let channel: DatagramChannel
    /// When the client last sent. What comes from outside does not keep the association (RFC 4787, REQ-6).
    var lastSent: Instant
    /// It has asked name servers alone so far.
    var isNameLookup: Bool
    /// The last far end that the policy was asked about, and its verdict.
    private var asked: (endpoint: Endpoint, isAllowed: Bool)?

    init(channel: DatagramChannel, now: Instant) {
        self.channel = channel
        lastSent = now
        isNameLookup = channel.requested.port == Self.nameServicePort
    }

    private static let nameServicePort: UInt16 = 53

    /// When the association ends, if the client sends no more.
    func deadline(_ settings: ServerSettings) -> Instant {
        lastSent + (isNameLookup ? settings.nameLookupTimeout : settings.associationTimeout)
    }

    /// Notes that the client has sent to `destination`.
    func noteSent(to destination: Endpoint, now: Instant) {
        lastSent = now
        if destination.port != Self.nameServicePort { isNameLookup = false }
    }

    /// The policy has changed.
    func forgetVerdict() { asked = nil }

    /// Whether datagrams to and from this far end pass: one of the association's family that the policy allows.
    @inline(__always)
    func allows(_ endpoint: Endpoint, _ policy: @autoclosure () -> DialPolicy) -> Bool {
        if let asked, asked.endpoint == endpoint { return asked.isAllowed }
        let isAllowed =
            endpoint.address.isIPv4 == channel.requested.address.isIPv4 && policy().allows(endpoint)
        asked = (endpoint, isAllowed)
        return isAllowed
    }
}
