import Primitives

/// What servers have given this client to be known by (RFC 9000, section 8.1.3): the last token of each address, and of a
/// few addresses only. In memory, since a client that was started anew is another one.
struct AddressTokenStore {
    /// Addresses of servers that tokens are kept of.
    static let limit = 8

    /// The latest at the end.
    private var tokens: [(server: Endpoint, bytes: [UInt8])] = []

    var count: Int { tokens.count }

    mutating func keep(_ token: [UInt8], for server: Endpoint) {
        tokens.removeAll { $0.server == server }
        if tokens.count == Self.limit { tokens.removeFirst() }
        tokens.append((server, token))
    }

    /// Takes the token out: one that was shown twice would let observers tell that both were the same client.
    mutating func take(for server: Endpoint) -> [UInt8]? {
        guard let index = tokens.firstIndex(where: { $0.server == server }) else { return nil }
        return tokens.remove(at: index).bytes
    }
}
