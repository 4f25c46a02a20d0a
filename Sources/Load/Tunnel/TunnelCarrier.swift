import Primitives
import Tunnel

/// Carries flows and datagrams on one or several links to the same server, in turn.
public final class TunnelCarrier: FlowCarrier, DatagramCarrier {
    public let links: [TunnelLink]
    private var turn = 0

    public init(links: [TunnelLink]) { self.links = links }

    /// Every link is up.
    public var isReady: Bool { links.allSatisfy(\.isUp) }

    public func open(_ flow: LoadFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any FlowChannel
    {
        try nextLink().open(flow, to: destination, now: now)
    }

    public func open(_ flow: DatagramFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any DatagramFlowChannel
    {
        try nextLink().open(flow, to: destination, now: now)
    }

    private func nextLink() throws(FlowFailure) -> TunnelLink {
        for _ in links {
            let link = links[turn % links.count]
            turn += 1
            if link.isUp { return link }
        }
        throw .tunnelLost
    }
}
