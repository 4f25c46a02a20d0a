import CNgtcp2
import Primitives

/// What a token in a client's first packet is worth.
enum TokenCheck: Equatable {
    /// There is none, or one for later connections that is not good (any more): as if there were none (RFC 9000,
    /// section 8.1.3).
    case none
    /// From a Retry of ours: the client's first choice of destination connection ID.
    case retried(original: ConnectionID)
    /// From an earlier connection: the client has proven this address before.
    case known
    /// From a Retry, and not good: the connection is refused (section 8.1.2).
    case invalid
}

/// Makes and checks the tokens by which clients prove their addresses (RFC 9000, section 8.1): those of Retry packets, and
/// those that a connection leaves to its client for later ones (NEW_TOKEN).
///
/// Each kind has keys of its own, which change with time: tokens of this period and the one before it are good. All keys come
/// from one secret, so a server that was restarted with the same secret knows its tokens again. The clock is the
/// machine's own and starts anew with it, and tokens from before are worth nothing then.
struct AddressTokens {
    /// A Retry token is good for so long.
    static let retryLifetime = Interval.seconds(10)
    /// A token for later connections is good for so long; keys change at the same pace.
    static let lifetime = Interval.seconds(24 * 3600)

    private enum Purpose: UInt8 {
        case retry = 1
        case later = 2
    }

    private let secret: [UInt8]

    /// - Parameter secret: 32 bytes that only this server knows.
    init(secret: [UInt8]) { self.secret = secret }

    /// A token for a Retry packet, or nil when the library fails.
    func makeRetryToken(_ arrival: InitialArrival, identifier: ConnectionID, now: Instant) -> [UInt8]? {
        var native = identifier.native
        var original = arrival.destination.native
        let key = key(.retry, period: 0)
        let path = NetworkPath(local: arrival.local, remote: arrival.remote)
        let address = path.pointer.pointee.remote
        // Magic, length, original identifier, time, tag and random data (NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN).
        return Self.collect(capacity: 1 + 1 + 20 + 8 + 16 + 32) {
            ngtcp2_crypto_generate_retry_token(
                $0, key, key.count, UInt32(NGTCP2_PROTO_VER_V1), address.addr, address.addrlen, &native, &original,
                now.nanoseconds)
        }
    }

    /// A token with which a client at this address is known in later connections, whatever its port.
    func makeToken(for remote: Endpoint, now: Instant) -> [UInt8]? {
        let key = key(.later, period: Self.period(now))
        let path = NetworkPath(local: remote, remote: remote)
        let address = path.pointer.pointee.remote
        // Magic, time, tag and random data (NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN).
        return Self.collect(capacity: 1 + 8 + 16 + 32) {
            ngtcp2_crypto_generate_regular_token(
                $0, key, key.count, address.addr, address.addrlen, now.nanoseconds)
        }
    }

    func check(_ arrival: InitialArrival, now: Instant) -> TokenCheck {
        switch arrival.token.first.map(Int32.init) {
        case NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY: checkRetry(arrival, now: now)
        case NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR: checkLater(arrival, now: now)
        default: .none
        }
    }

    private func checkRetry(_ arrival: InitialArrival, now: Instant) -> TokenCheck {
        var original = ngtcp2_cid()
        var destination = arrival.destination.native
        let key = key(.retry, period: 0)
        let path = NetworkPath(local: arrival.local, remote: arrival.remote)
        let address = path.pointer.pointee.remote
        let result = ngtcp2_crypto_verify_retry_token(
            &original, arrival.token, arrival.token.count, key, key.count, UInt32(NGTCP2_PROTO_VER_V1), address.addr,
            address.addrlen, &destination, UInt64(Self.retryLifetime.nanoseconds), now.nanoseconds)
        return result == 0 ? .retried(original: ConnectionID(original)) : .invalid
    }

    private func checkLater(_ arrival: InitialArrival, now: Instant) -> TokenCheck {
        let path = NetworkPath(local: arrival.local, remote: arrival.remote)
        let address = path.pointer.pointee.remote
        let current = Self.period(now)
        for period in [current, current &- 1] {
            let key = key(.later, period: period)
            let result = ngtcp2_crypto_verify_regular_token(
                arrival.token, arrival.token.count, key, key.count, address.addr, address.addrlen,
                UInt64(Self.lifetime.nanoseconds), now.nanoseconds)
            if result == 0 { return .known }
        }
        return .none
    }

    private static func period(_ now: Instant) -> UInt64 { now.nanoseconds / UInt64(lifetime.nanoseconds) }

    /// The secret with the purpose and the period behind it: ngtcp2 derives the real key from that (HKDF).
    private func key(_ purpose: Purpose, period: UInt64) -> [UInt8] {
        secret + [purpose.rawValue] + (0..<8).map { UInt8(truncatingIfNeeded: period >> (8 * $0)) }
    }

    private static func collect(capacity: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int) -> [UInt8]? {
        let token = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = max(write(buffer.baseAddress!), 0)
        }
        return token.isEmpty ? nil : token
    }
}
