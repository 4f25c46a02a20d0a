import Foundation
import Sealing
import Tunnel
import Users

/// Everything that a client must know of a server and a user, in one line: `penstock://v1#…`. docs/SHARING.md has every byte.
///
/// It may hold a secret: its description does not show it, and the memory of it is overwritten after its last use. Of the text
/// that a link is read from its caller takes care; a text in a variable of the environment, or in an argument, is the system's
/// and stays where it is.
package struct AccessLink: Equatable, Sendable {
    static let prefix = "penstock://v1#"
    /// Longest text, in characters: more does not fit into a QR code.
    package static let maximumLength = 2_953
    /// Longest text that is looked at, with the spaces and line ends that mail programs put in.
    package static let maximumInput = 4 * maximumLength

    package enum Trust: Hashable, Sendable {
        /// SHA-256 of the server's SubjectPublicKeyInfo.
        case pin([UInt8])
        /// Certificates of authorities in DER.
        case authorities([[UInt8]])
    }

    package var server: HostAndPort
    /// The name in the server's certificate where it is not the host of `server`.
    package var serverName: String?
    /// By it the server is known inside the tunnel.
    package var serverKey: PublicKey
    package var trust: Trust
    package var user: UserName?
    /// UTF-8, 1 to 255 bytes.
    package var password: SecretBytes?
    /// The user's own key inside the tunnel.
    package var key: KeyPair?

    /// A link without a secret.
    package init(
        server: HostAndPort, serverName: String? = nil, serverKey: PublicKey, trust: Trust, user: UserName? = nil
    ) {
        self.server = server
        self.serverName = serverName
        self.serverKey = serverKey
        self.trust = trust
        self.user = user
    }

    package var hasSecret: Bool { password != nil || key != nil }

    /// Why a text is no link.
    package enum Fault: Error, Hashable, Sendable {
        case notALink, otherVersion(String), tooLong, damaged, incomplete(String), unknownField(UInt8)
    }
}

extension AccessLink: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "link to \(server)" + (user.map { " for \($0)" } ?? "") }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension AccessLink.Fault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notALink: "this is no link; copy all of what 'penstock share' printed, from \(AccessLink.prefix) on"
        case .otherVersion(let version):
            "the link is of version '\(version)', and this program reads v1; use a later one"
        case .tooLong: "the link is longer than \(AccessLink.maximumLength) characters; copy the link alone"
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
    package var text: SecretBytes {
        var payload = LinkPayload()
        defer { payload.wipe() }
        payload.add(Field.server, "\(server)".utf8)
        if let serverName { payload.add(Field.serverName, serverName.utf8) }
        payload.add(Field.serverKey, serverKey.bytes)
        switch trust {
        case .pin(let pin): payload.add(Field.pin, pin)
        case .authorities(let certificates):
            for certificate in certificates { payload.add(Field.authority, certificate) }
        }
        if let user { payload.add(Field.user, user.text.utf8) }
        password?.withBytes { payload.add(Field.password, $0) }
        key?.withPrivateKey { payload.add(Field.privateKey, $0) }
        return payload.sealed(prefix: Self.prefix)
    }

    /// Spaces and line ends around the link, and within it where a mail program broke the line, are left out.
    /// - Parameter text: the caller's to wipe.
    package init(_ text: some Collection<UInt8>) throws(Fault) {
        guard text.count <= Self.maximumInput else { throw .tooLong }
        var link: [UInt8] = []
        link.reserveCapacity(text.count)
        defer { SecretBytes.wipe(&link) }
        for byte in text where byte > 32 { link.append(byte) }
        guard link.count <= Self.maximumLength else { throw .tooLong }
        guard link.starts(with: Self.prefix.utf8) else { throw Self.fault(ofStart: link) }
        guard let bytes = Base64URL.decode(link.dropFirst(Self.prefix.utf8.count)) else { throw .damaged }
        var payload = LinkPayload(bytes)
        defer { payload.wipe() }
        guard payload.takeChecksum() else { throw .damaged }
        try self.init(payload)
    }

    /// Of what does not begin as a link of ours does. What stands behind `#` is not shown.
    private static func fault(ofStart text: [UInt8]) -> Fault {
        let scheme = Array("penstock://".utf8)
        guard text.starts(with: scheme), let end = text.firstIndex(of: UInt8(ascii: "#")) else { return .notALink }
        return .otherVersion(printable(String(decoding: text[scheme.count..<end], as: UTF8.self)))
    }

    /// The fields alone, without the text around them.
    package init(payload bytes: [UInt8]) throws(Fault) { try self.init(LinkPayload(bytes)) }

    private init(_ payload: LinkPayload) throws(Fault) {
        var server: HostAndPort?
        var serverKey: PublicKey?
        var serverName: String?
        var pin: [UInt8]?
        var authorities: [[UInt8]] = []
        var user: UserName?
        var password: SecretBytes?
        var key: KeyPair?
        for (type, value) in try payload.fields() {
            switch type {
            case Field.server: server = try Self.value(value, .hostAndPort)
            case Field.serverName: serverName = try Self.value(value, .hostName)
            case Field.serverKey: serverKey = try Self.whole(PublicKey(value))
            case Field.pin: pin = try Self.whole(value.count == 32 ? Array(value) : nil)
            case Field.authority: authorities.append(Array(value))
            case Field.user: user = try Self.whole(String(validating: value, as: UTF8.self).flatMap(UserName.init))
            case Field.password:
                guard (1...UserLogin.maximumSize).contains(value.count), String(validating: value, as: UTF8.self) != nil
                else { throw .damaged }
                password = SecretBytes(copying: value)
            case Field.privateKey: key = try Self.whole(KeyPair(privateKey: value))
            case Field.firstOptional...: break
            default: throw .unknownField(type)
            }
        }
        guard let server else { throw .incomplete("where the server is") }
        guard let serverKey else { throw .incomplete("the server's key") }
        let trust: Trust
        switch (pin, authorities.isEmpty) {
        case (let pin?, true): trust = .pin(pin)
        case (nil, false): trust = .authorities(authorities)
        case (.some, false), (nil, true): throw .incomplete("by what to know the server")
        }
        self.init(server: server, serverName: serverName, serverKey: serverKey, trust: trust, user: user)
        self.password = password
        self.key = key
    }

    private static func value<Value>(_ bytes: ArraySlice<UInt8>, _ kind: SettingKind<Value>) throws(Fault) -> Value {
        guard let text = String(validating: bytes, as: UTF8.self), case .value(let value) = kind.parse(text) else {
            throw .damaged
        }
        return value
    }

    private static func whole<Value>(_ value: Value?) throws(Fault) -> Value {
        guard let value else { throw .damaged }
        return value
    }
}

/// The bytes of a link in one piece of memory that never moves, so that one wiping is enough.
private struct LinkPayload {
    private var bytes: [UInt8]

    init() {
        bytes = []
        bytes.reserveCapacity(AccessLink.maximumInput)
    }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func wipe() { SecretBytes.wipe(&bytes) }

    /// - Parameter value: 65 535 bytes at most; a link cannot have more anyway.
    mutating func add(_ type: UInt8, _ value: some Collection<UInt8>) {
        bytes.append(type)
        bytes.append(UInt8(truncatingIfNeeded: value.count >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value.count))
        bytes.append(contentsOf: value)
    }

    func fields() throws(AccessLink.Fault) -> [(UInt8, ArraySlice<UInt8>)] {
        var rest = bytes[...]
        var fields: [(UInt8, ArraySlice<UInt8>)] = []
        while let type = rest.popFirst() {
            guard let high = rest.popFirst(), let low = rest.popFirst() else { throw .damaged }
            let count = Int(high) << 8 | Int(low)
            guard count <= rest.count else { throw .damaged }
            fields.append((type, rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return fields
    }

    /// The text with its checksum.
    mutating func sealed(prefix: String) -> SecretBytes {
        let sum = Self.checksum(bytes)
        for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: sum >> shift)) }
        return Base64URL.encode(bytes, behind: prefix)
    }

    /// Takes the last four bytes off; false where they are not the checksum of the others, or there are no others.
    mutating func takeChecksum() -> Bool {
        guard bytes.count > 4 else { return false }
        let stated = bytes.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        bytes.removeLast(4)
        return Self.checksum(bytes) == stated
    }

    /// CRC-32 (ISO 3309): finds what was mistyped or cut off. Against forgers it can do nothing: who writes the link chooses the server.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(UInt32.max) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
    }
}

/// RFC 4648, section 5, without padding, from memory to memory.
private enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    static func encode(_ bytes: [UInt8], behind prefix: String) -> SecretBytes {
        var text = Array(prefix.utf8)
        text.reserveCapacity(text.count + (bytes.count * 4 + 2) / 3)
        defer { SecretBytes.wipe(&text) }
        var word: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            word = word << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[Int(word >> bits & 63)])
            }
            word &= 1 << bits - 1
        }
        if bits > 0 { text.append(alphabet[Int(word << (6 - bits) & 63)]) }
        return SecretBytes(copying: text)
    }

    /// Nil for a character outside the alphabet, or bits set after the last byte. What it returns is the caller's to wipe.
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count * 3 / 4)
        var word: UInt32 = 0
        var bits: UInt32 = 0
        for character in text {
            guard let digit = value(of: character) else {
                SecretBytes.wipe(&bytes)
                return nil
            }
            word = word << 6 | digit
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> bits))
                word &= 1 << bits - 1
            }
        }
        guard bits < 6, word == 0 else {
            SecretBytes.wipe(&bytes)
            return nil
        }
        return bytes
    }

    private static func value(of character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
