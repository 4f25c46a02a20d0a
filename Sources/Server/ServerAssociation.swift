import Primitives
import Tunnel

/// What an outbound flow has besides, when it carries datagrams: one socket of the server, whoever the far ends are.
final class ServerAssociation {
    let channel: DatagramChannel
    /// When the client last sent. What comes from outside does not keep the association (RFC 4787, REQ-6).
    var lastSent: Instant
    /// It has asked name servers alone so far.
    var isNameLookup: Bool
    /// What the client asked for, where that was a name: the far end of the request is an address of it.
    private let name: DomainName?
    /// The last far end that the policy was asked about, its verdict, and which policy that was.
    private var asked: (endpoint: Endpoint, generation: Int, verdict: DialVerdict)?

    init(channel: DatagramChannel, name: DomainName?, now: Instant) {
        self.channel = channel
        self.name = name
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

    /// Whether datagrams to and from this far end pass: one of the association's family that the policy allows.
    /// - Returns: the verdict, and whether it is news.
    @inline(__always)
    func verdict(
        _ endpoint: Endpoint, _ policy: @autoclosure () -> DialPolicy, generation: Int, user: String?
    ) -> (verdict: DialVerdict, isNew: Bool) {
        if let asked, asked.endpoint == endpoint, asked.generation == generation { return (asked.verdict, false) }
        let verdict =
            endpoint.address.isIPv4 == channel.requested.address.isIPv4
            ? policy().verdict(
                endpoint, DialAsker(.udp, name: endpoint == channel.requested ? name : nil, user: user))
            : .denied(by: .impossible)
        asked = (endpoint, generation, verdict)
        return (verdict, true)
    }
}
