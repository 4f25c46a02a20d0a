import Foundation
import UserStore
import Users

/// Everything that a client must know of a server and a user, in one line: `penstock://v1#…`. docs/SHARING.md has every byte.
///
/// It may hold a secret: its description does not show it.
struct AccessLink: Hashable, Sendable {
    static let prefix = "penstock://v1#"
    /// Longest text, in characters: more does not fit into a QR code.
    static let maximumLength = 2_953

    enum Trust: Hashable, Sendable {
        /// SHA-256 of the server's SubjectPublicKeyInfo.
        case pin([UInt8])
        /// Certificates of authorities in DER.
        case authorities([[UInt8]])
    }

    var server: HostAndPort
    /// The name in the server's certificate where it is not the host of `server`.
    var serverName: String?
    /// The server's public key of the inner key exchange (X25519), 32 bytes.
    var serverKey: [UInt8]
    var trust: Trust
    var user: UserName?
    var password: String?
    /// The user's private key of the inner key exchange, 32 bytes.
    var privateKey: [UInt8]?

    var hasSecret: Bool { password != nil || privateKey != nil }

    /// Why a text is no link.
    enum Fault: Error, Hashable, Sendable {
        case notALink, otherVersion(String), tooLong, damaged, incomplete(String), unknownField(UInt8)
    }
}

extension AccessLink: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var description: String { "link to \(server)" + (user.map { " for \($0)" } ?? "") }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension AccessLink.Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .notALink: "this is no link; it begins with \(AccessLink.prefix)"
        case .otherVersion(let version):
            "the link is of version '\(version)', and this program reads v1; use a later one"
        case .tooLong: "the link is longer than \(AccessLink.maximumLength) characters"
        case .damaged: "the link is damaged or not whole; copy it again"
        case .incomplete(let what): "the link does not say \(what); ask for a new one"
        case .unknownField(let type): "the link has a field \(type) that this program does not know; use a later one"
        }
    }
}

// MARK: - Text

/// Fields: type (1 byte), length (2 bytes, big-endian), value. Those from 128 on may be left unread by who does not know them.
private enum Field {
    static let server: UInt8 = 1
    static let serverName: UInt8 = 2
    static let serverKey: UInt8 = 3
    static let pin: UInt8 = 4
    static let authority: UInt8 = 5
    static let user: UInt8 = 6
    static let password: UInt8 = 7
    static let privateKey: UInt8 = 8
    static let firstOptional: UInt8 = 128
}

extension AccessLink {
    /// The link itself, secrets and all.
    var text: String {
        var payload: [UInt8] = []
        func add(_ type: UInt8, _ value: some Collection<UInt8>) {
            payload += [type, UInt8(truncatingIfNeeded: value.count >> 8), UInt8(truncatingIfNeeded: value.count)]
            payload += value
        }
        add(Field.server, Array("\(server)".utf8))
        if let serverName { add(Field.serverName, Array(serverName.utf8)) }
        add(Field.serverKey, serverKey)
        switch trust {
        case .pin(let pin): add(Field.pin, pin)
        case .authorities(let certificates): for certificate in certificates { add(Field.authority, certificate) }
        }
        if let user { add(Field.user, Array(user.text.utf8)) }
        if let password { add(Field.password, Array(password.utf8)) }
        if let privateKey { add(Field.privateKey, privateKey) }
        let sum = checksum(payload)
        return Self.prefix + base64URL(payload + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * $0)) })
    }

    /// Spaces and line ends around the link, and within it where a mail program broke the line, are left out.
    init(_ text: String) throws(Fault) {
        guard text.utf8.count <= 4 * Self.maximumLength else { throw .tooLong }
        let text = text.filter { !$0.isWhitespace }
        guard text.utf8.count <= Self.maximumLength else { throw .tooLong }
        guard text.hasPrefix(Self.prefix) else {
            guard text.hasPrefix("penstock://"), let end = text.firstIndex(of: "#") else { throw .notALink }
            throw .otherVersion(printable(String(text[..<end].dropFirst("penstock://".count))))
        }
        guard let bytes = decodeBase64URL(text.dropFirst(Self.prefix.count)), bytes.count > 4 else { throw .damaged }
        let payload = bytes.dropLast(4)
        guard checksum(Array(payload)) == bytes.suffix(4).reduce(0, { $0 << 8 | UInt32($1) }) else { throw .damaged }
        try self.init(fields: Self.fields(payload))
    }

    private static func fields(_ payload: ArraySlice<UInt8>) throws(Fault) -> [(UInt8, [UInt8])] {
        var rest = payload
        var fields: [(UInt8, [UInt8])] = []
        while let type = rest.popFirst() {
            guard let high = rest.popFirst(), let low = rest.popFirst() else { throw .damaged }
            let count = Int(high) << 8 | Int(low)
            guard count <= rest.count else { throw .damaged }
            fields.append((type, Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        return fields
    }

    private init(fields: [(UInt8, [UInt8])]) throws(Fault) {
        var server: HostAndPort?
        var serverName: String?
        var serverKey: [UInt8]?
        var pin: [UInt8]?
        var authorities: [[UInt8]] = []
        var user: UserName?
        var password: String?
        var privateKey: [UInt8]?
        for (type, value) in fields {
            switch type {
            case Field.server: server = try Self.text(value, .hostAndPort)
            case Field.serverName: serverName = try Self.text(value, .hostName)
            case Field.serverKey: serverKey = try Self.key(value)
            case Field.pin: pin = try Self.key(value)
            case Field.authority: authorities.append(value)
            case Field.user:
                guard let name = UserName(String(decoding: value, as: UTF8.self)) else { throw .damaged }
                user = name
            case Field.password:
                guard let text = String(validating: value, as: UTF8.self), Password(value) != nil else {
                    throw .damaged
                }
                password = text
            case Field.privateKey: privateKey = try Self.key(value)
            case Field.firstOptional...: break
            default: throw .unknownField(type)
            }
        }
        guard let server else { throw .incomplete("where the server is") }
        guard let serverKey else { throw .incomplete("the server's key") }
        self.server = server
        self.serverName = serverName
        self.serverKey = serverKey
        switch (pin, authorities.isEmpty) {
        case (let pin?, true): trust = .pin(pin)
        case (nil, false): trust = .authorities(authorities)
        case (.some, false), (nil, true): throw .incomplete("by what to know the server")
        }
        self.user = user
        self.password = password
        self.privateKey = privateKey
    }

    private static func text<Value>(_ bytes: [UInt8], _ kind: SettingKind<Value>) throws(Fault) -> Value {
        guard let text = String(validating: bytes, as: UTF8.self), case .value(let value) = kind.parse(text) else {
            throw .damaged
        }
        return value
    }

    private static func key(_ bytes: [UInt8]) throws(Fault) -> [UInt8] {
        guard bytes.count == 32 else { throw .damaged }
        return bytes
    }
}

/// CRC-32 (ISO 3309): finds what was mistyped or cut off. Against forgers it can do nothing: who writes the link chooses the server.
private func checksum(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { sum, byte in
        (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
}

/// RFC 4648, section 5, without padding.
private func base64URL(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
}

private func decodeBase64URL(_ text: Substring) -> [UInt8]? {
    guard !text.contains(where: { $0 == "+" || $0 == "/" || $0 == "=" }) else { return nil }
    let standard = text.replacing("-", with: "+").replacing("_", with: "/")
    return decodeBase64(standard + String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4))
}
