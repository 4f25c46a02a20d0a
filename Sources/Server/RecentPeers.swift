import Primitives

/// The addresses that an association has sent to, as many of the latest as may be.
struct RecentPeers {
    /// A name server or a game has a few far ends; who has more hears those of the last 256.
    static let limit = 256

    private var known: Set<IPAddress> = []
    /// In the order in which they came, round and round.
    private var order: [IPAddress] = []
    private var next = 0
    private var latest: IPAddress?

    var count: Int { known.count }

    func contains(_ address: IPAddress) -> Bool { address == latest || known.contains(address) }

    mutating func insert(_ address: IPAddress) {
        guard address != latest else { return }
        latest = address
        guard known.insert(address).inserted else { return }
        guard order.count == Self.limit else { return order.append(address) }
        known.remove(order[next])
        order[next] = address
        next = (next + 1) % Self.limit
    }
}
