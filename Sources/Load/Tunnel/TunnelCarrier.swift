import Primitives
import Tunnel

/// Carries flows on one or several links to the same server, in turn.
public final class TunnelCarrier: FlowCarrier {
    public let links: [TunnelLink]
    private var turn = 0

    public init(links: [TunnelLink]) { self.links = links }

    /// Every link is up.
    public var isReady: Bool { links.allSatisfy(\.isUp) }

    public func open(_ flow: LoadFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any FlowChannel
    {
        for _ in links {
            let link = links[turn % links.count]
            turn += 1
            if link.isUp { return try link.open(flow, to: destination, now: now) }
        }
        throw .tunnelLost
    }
}
