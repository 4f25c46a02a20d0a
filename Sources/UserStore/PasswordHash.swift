import COpenSSL
import Foundation

/// What is kept of a password: scrypt (RFC 7914) of it, with the salt and the parameters.
///
/// Written as `scrypt:LN:R:P:SALT:HASH`, with N = 2^LN and base64.
public struct PasswordHash: Hashable, Sendable {
    /// What a guess costs. N = 2^15, r = 8, p = 1 takes 32 MiB and a tenth of a second of one core or more: several thousand times as
    /// dear as a plain hash, and still some ten logins a second on the one thread that checks them. OWASP's list of equal choices has
    /// 2^17 with p = 1 and 2^15 with p = 3; a login limiter stands before this one, and 128 MiB for each login would be the better lever
    /// of an attacker.
    public struct Cost: Hashable, Sendable {
        public var logN: Int
        public var r: Int
        public var p: Int

        public init(logN: Int, r: Int, p: Int) {
            self.logN = logN
            self.r = r
            self.p = p
        }

        public static let standard = Cost(logN: 15, r: 8, p: 1)

        /// A database can be edited: a cost beyond this is not paid (256 MiB).
        var isBearable: Bool { (1...18).contains(logN) && (1...8).contains(r) && (1...4).contains(p) }
        /// Bytes that scrypt may take: 128 · N · r, and what is small beside that.
        fileprivate var memory: UInt64 { UInt64(128 * (1 << logN) * r + 128 * r * p + (1 << 20)) }
    }

    static let saltSize = 16
    static let hashSize = 32

    public let cost: Cost
    let salt: [UInt8]
    let hash: [UInt8]

    /// Nil without memory for it (see `Cost`).
    /// - Parameter random: for the salt; fit for keys.
    public init?(_ password: Password, cost: Cost = .standard, random: inout some RandomNumberGenerator) {
        precondition(cost.isBearable, "a cost that no hash is checked with")
        self.cost = cost
        salt = (0..<Self.saltSize).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        guard let hash = Self.derive(password, salt, cost) else { return nil }
        self.hash = hash
    }

    /// A hash that no password has: checking against it costs what checking against a real one does, and fails.
    public static func dummy(random: inout some RandomNumberGenerator) -> PasswordHash {
        PasswordHash(
            cost: .standard, salt: [UInt8](repeating: 0, count: saltSize),
            hash: (0..<hashSize).map { _ in UInt8.random(in: .min ... .max, using: &random) })
    }

    private init(cost: Cost, salt: [UInt8], hash: [UInt8]) {
        self.cost = cost
        self.salt = salt
        self.hash = hash
    }

    /// Whether this is the password; nil without memory to tell. The comparison takes the same time wherever they differ.
    public func matches(_ password: Password) -> Bool? {
        guard let other = Self.derive(password, salt, cost) else { return nil }
        return CRYPTO_memcmp(other, hash, Self.hashSize) == 0
    }

    static func derive(_ password: Password, _ salt: [UInt8], _ cost: Cost) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: hashSize)
        let result = password.withBytes { bytes in
            EVP_PBE_scrypt(
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, salt, salt.count,
                1 << UInt64(cost.logN), UInt64(cost.r), UInt64(cost.p), cost.memory, &output, output.count)
        }
        // It fails only for want of memory, since the cost has been looked at.
        return result == 1 ? output : nil
    }
}

/// What the database has of a password, and whose row it is.
public struct StoredPassword: Hashable, Sendable {
    let user: Int64
    let text: String
    /// Nil for a text that is none.
    public var hash: PasswordHash? { PasswordHash(text) }
}

extension PasswordHash: LosslessStringConvertible, CustomStringConvertible {
    public var description: String {
        "scrypt:\(cost.logN):\(cost.r):\(cost.p):\(Data(salt).base64EncodedString()):\(Data(hash).base64EncodedString())"
    }

    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "scrypt", let logN = Int(parts[1]), let r = Int(parts[2]),
            let p = Int(parts[3]), let salt = Data(base64Encoded: String(parts[4])),
            let hash = Data(base64Encoded: String(parts[5])), salt.count == Self.saltSize, hash.count == Self.hashSize
        else { return nil }
        let cost = Cost(logN: logN, r: r, p: p)
        guard cost.isBearable else { return nil }
        self.init(cost: cost, salt: Array(salt), hash: Array(hash))
    }
}
