import Primitives
import Tunnel

/// What an outbound flow has besides, while it waits for its name or dials one of its addresses.
struct NamedDial {
    let name: DomainName
    let port: UInt16
    let transport: DialTransport
    /// For TCP; an association takes the first address that it may have.
    var race: HappyEyeballs
    /// Where each attempt goes, in the order of their numbers.
    var dialled: [Endpoint] = []
    /// What the policy said of an address that it refused.
    var denial: DialVerdict?
    /// A question came to nothing for want of an answer, not of an address.
    var hasFailedQuery = false
}
