import Primitives
import Tunnel

/// What an outbound flow has besides, when it carries datagrams: one socket of the server, whoever the far ends are.
final class ServerAssociation {
    let channel: DatagramChannel
    /// When the client last sent. What comes from outside does not keep the association (RFC 4787, REQ-6).
    var lastSent: Instant
    /// It has asked name servers alone so far.
    var isNameLookup: Bool
    /// Whom it hears, where its user pays for what comes: see `ServerEngine.isStranger`.
    private(set) var peers = RecentPeers()
    /// What the client asked for, where that was a name: the far end of the request is an address of it.
    private let name: DomainName?
    /// The last far end that was asked about, its verdict, and what it rests on.
    private var asked: (endpoint: Endpoint, grounds: VerdictGrounds, verdict: DialVerdict)?

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
    /// - Parameter remembers: the far end is one to hear.
    func noteSent(to destination: Endpoint, remembers: Bool, now: Instant) {
        lastSent = now
        if remembers { peers.insert(destination.address) }
        if destination.port != Self.nameServicePort { isNameLookup = false }
    }

    /// Whether datagrams to and from this far end pass: one of the association's family that `judge` allows. It is asked when
    /// the far end changes, or what the last verdict rests on.
    /// - Returns: the verdict, and whether it is news.
    @inline(__always)
    func verdict(
        _ endpoint: Endpoint, _ grounds: VerdictGrounds, _ judge: (_ name: DomainName?) -> DialVerdict
    ) -> (verdict: DialVerdict, isNew: Bool) {
        if let asked, asked.endpoint == endpoint, asked.grounds == grounds { return (asked.verdict, false) }
        let verdict =
            endpoint.address.isIPv4 == channel.requested.address.isIPv4
            ? judge(endpoint == channel.requested ? name : nil) : .denied(by: .impossible)
        asked = (endpoint, grounds, verdict)
        return (verdict, true)
    }
}

/// What a verdict rests on: it is asked for anew when one of them changes.
struct VerdictGrounds: Equatable {
    var policy: Int
    /// `Account.destinationsVersion`.
    var destinations: Int
}
