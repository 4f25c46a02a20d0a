/// The first message of the control stream, client to server. Sealed under the shared key, so that it shows at once
/// whether both ends have the same.
public struct Hello: Hashable, Sendable {
    /// Name and version of the client's program, for the server's log.
    public let software: String

    /// Control characters are left out of `software`, and what is beyond 255 bytes.
    public init(software: String) { self.software = wireText(software) }

    /// Version, text.
    public func encode() -> [UInt8] {
        var bytes = [TunnelProtocol.version]
        bytes.append(text: software)
        return bytes
    }

    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        try reader.version()
        software = try reader.text()
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

    /// Version, maximum of flows (4 bytes), text.
    public func encode() -> [UInt8] {
        var bytes = [TunnelProtocol.version]
        bytes.append(bigEndian: maximumFlows)
        bytes.append(text: software)
        return bytes
    }

    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        try reader.version()
        maximumFlows = try reader.integer(UInt32.self)
        software = try reader.text()
    }
}
