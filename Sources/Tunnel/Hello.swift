import Sealing

/// A user name with its password.
public struct UserLogin: Equatable, Sendable {
    /// The most bytes of either.
    public static let maximumSize = 255

    public let name: String
    public let password: SecretBytes

    /// Nil for a name that is empty, too long or has control characters, and for a password that is too long.
    public init?(name: String, password: SecretBytes) {
        guard !name.isEmpty, wireText(name) == name, password.count <= Self.maximumSize else { return nil }
        self.name = name
        self.password = password
    }
}

/// The first sealed message of the control stream, client to server: who wants to come in. It goes out when the server
/// has proved its key, and opens to nobody else.
public struct Hello: Equatable, Sendable {
    /// Name and version of the client's program, for the server's log.
    public let software: String
    /// For those who log in by name and password.
    public let user: UserLogin?

    /// Control characters are left out of `software`, and what is beyond 255 bytes.
    public init(software: String, user: UserLogin? = nil) {
        self.software = wireText(software)
        self.user = user
    }

    /// Version, text, name (an empty text for none), length of the password and the password. To be wiped after use.
    public func encode() -> [UInt8] {
        var bytes: [UInt8] = []
        // Grown once, so that no copy of the password stays behind.
        bytes.reserveCapacity(4 + 3 * UserLogin.maximumSize)
        bytes.append(TunnelProtocol.version)
        bytes.append(text: software)
        bytes.append(text: user?.name ?? "")
        bytes.append(UInt8(clamping: user?.password.count ?? 0))
        user?.password.withBytes { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// The bytes given are the caller's to wipe.
    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        try reader.version()
        software = try reader.text()
        let name = try reader.text()
        let password = SecretBytes(copying: try reader.bytes(Int(try reader.byte())))
        user = UserLogin(name: name, password: password)
    }
}

/// The answer to `Hello`, server to client: the client may open flow streams from here on.
public struct Welcome: Hashable, Sendable {
    /// Flows that the client may have open at once.
    public let maximumFlows: UInt32
    /// Name and version of the server's program, for the client's log.
    public let software: String

    /// Control characters are left out of `software`, and what is beyond 255 bytes.
    public init(maximumFlows: UInt32, software: String) {
        self.maximumFlows = maximumFlows
        self.software = wireText(software)
    }

    /// Type, version, maximum of flows (4 bytes), text.
    public func encode() -> [UInt8] {
        var bytes = [LoginAnswer.welcomeType, TunnelProtocol.version]
        bytes.append(bigEndian: maximumFlows)
        bytes.append(text: software)
        return bytes
    }

    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        let type = try reader.byte()
        guard type == LoginAnswer.welcomeType else { throw .unknownType(type) }
        try reader.version()
        maximumFlows = try reader.integer(UInt32.self)
        software = try reader.text()
    }
}

/// What the server may answer to `Hello`.
public enum LoginAnswer: Hashable, Sendable {
    case welcome(Welcome)
    case denied(LoginRefusal)

    static let welcomeType: UInt8 = 0
    static let deniedType: UInt8 = 5

    public init(parsing bytes: [UInt8]) throws(MessageError) {
        guard bytes.first == Self.deniedType else {
            self = .welcome(try Welcome(parsing: bytes))
            return
        }
        guard case .denied(let refusal) = try ControlMessage(parsing: bytes) else {
            throw .unknownType(Self.deniedType)
        }
        self = .denied(refusal)
    }
}
