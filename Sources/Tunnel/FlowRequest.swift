import Primitives

/// What the client asks of the server in a flow stream.
public enum FlowCommand: UInt8, Sendable, CaseIterable {
    /// Dial a TCP connection (RFC 1928, section 4: CONNECT).
    case connect = 1
    /// Carry datagrams between one UDP port of the server and whomever the client names, of the family of the destination
    /// (RFC 1928: UDP ASSOCIATE).
    case udp = 3
    /// ICMP echo. Reserved: answered with `commandNotSupported`.
    case icmp = 0x11
}

/// Bits of the request; none has a meaning yet. Receivers ignore bits they do not know.
public struct FlowFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// The first chunk of a flow stream, client to server.
public struct FlowRequest: Hashable, Sendable {
    public var command: FlowCommand
    public var flags: FlowFlags
    public var destination: DestinationAddress

    public init(_ command: FlowCommand, to destination: DestinationAddress, flags: FlowFlags = []) {
        self.command = command
        self.flags = flags
        self.destination = destination
    }

    /// Version, command, flags, address: 10 to 263 bytes.
    public func encode() -> [UInt8] {
        var bytes = [TunnelProtocol.version, command.rawValue, flags.rawValue]
        destination.append(to: &bytes)
        return bytes
    }

    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        try reader.version()
        let code = try reader.byte()
        guard let command = FlowCommand(rawValue: code) else { throw .unknownCommand(code) }
        self.command = command
        flags = FlowFlags(rawValue: try reader.byte())
        destination = try DestinationAddress(from: &reader)
    }
}

extension MessageError {
    /// What the server answers to a request that it cannot parse; nil when no answer would be understood and the
    /// stream is to be reset with `TunnelErrorCode.protocolViolation`.
    public var reply: FlowReplyCode? {
        switch self {
        case .unknownCommand: .commandNotSupported
        case .badAddressType: .addressTypeNotSupported
        case .badName: .hostUnreachable
        case .truncated, .unknownVersion, .unknownType, .badText, .badLength: nil
        }
    }
}
