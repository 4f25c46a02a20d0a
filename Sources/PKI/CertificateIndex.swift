import Foundation

/// What an authority has issued and revoked, as its index file keeps it.
public struct CertificateIndex: Codable, Hashable, Sendable {
    /// Entries at most: the file is read and written as a whole.
    public static let limit = 100_000

    public enum Kind: String, Codable, Sendable {
        case server, client
    }

    public struct Entry: Codable, Hashable, Sendable {
        /// Hexadecimal.
        public let serial: String
        public let kind: Kind
        /// The first name of a server, the name of a client.
        public let name: String
        /// All names of a server.
        public let names: [String]
        public let notAfter: Date
        /// SHA-256 of the certificate, hexadecimal.
        public let fingerprint: String
        public internal(set) var revoked: Date?

        public init(
            _ issued: IssuedCertificate, kind: Kind, names: [String], notAfter: Date
        ) {
            serial = issued.serial.description
            self.kind = kind
            name = names.first ?? ""
            self.names = names
            self.notAfter = notAfter
            fingerprint = issued.fingerprint.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }

        public enum State: String, Sendable {
            case valid, expired, revoked
        }

        public func state(now: Date) -> State { revoked != nil ? .revoked : notAfter < now ? .expired : .valid }
    }

    public private(set) var entries: [Entry] = []
    /// Of the last revocation list that was made.
    public private(set) var listNumber = 0

    public init() {}

    /// Reads the file's JSON.
    public init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        self = try decoder.decode(CertificateIndex.self, from: Data(json))
    }

    public var json: [UInt8] {
        get throws {
            let encoder = JSONEncoder()
            encoder.dateEncodingStrategy = .iso8601
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return Array(try encoder.encode(self)) + [10]
        }
    }

    public mutating func add(_ entry: Entry) { entries.append(entry) }

    /// Revokes what bears this serial number, or this name: all certificates of the name that are not revoked yet.
    /// - Returns: what was revoked now; empty when nothing has that name, or all of it was revoked before.
    public mutating func revoke(_ what: String, now: Date) -> [Entry] {
        var result: [Entry] = []
        for index in entries.indices where entries[index].revoked == nil {
            guard entries[index].serial == what.lowercased() || entries[index].name == what else { continue }
            entries[index].revoked = Date(timeIntervalSince1970: now.timeIntervalSince1970.rounded(.down))
            result.append(entries[index])
        }
        return result
    }

    /// What stands in the next revocation list. Those that have expired are refused without it.
    public mutating func nextList(now: Date) -> (revocations: [Revocation], number: Int) {
        listNumber += 1
        let revocations = entries.compactMap { entry -> Revocation? in
            guard let date = entry.revoked, entry.notAfter >= now,
                let serial = SerialNumber(entry.serial)
            else { return nil }
            return Revocation(serial: serial, date: date)
        }
        return (revocations, listNumber)
    }
}
