/// A message of the control stream after hello and welcome; one chunk each.
public enum ControlMessage: Hashable, Sendable {
    /// The other end answers at once with `pong` and the same number. Either way.
    case ping(UInt64)
    case pong(UInt64)
    /// The server takes no new flows and goes away when those it has are over. Server to client.
    case drain(reason: String)
    /// The server ends the connection; the code is one of `TunnelErrorCode`, known to this version or not. Server to
    /// client.
    case kick(code: UInt64, reason: String)
    /// The client is not let in. Server to client, in place of welcome; then the connection ends.
    case denied(LoginRefusal)
    /// The first message of another key exchange, client to server.
    case rekey([UInt8])
    /// The second, server to client.
    case rekeyAnswer([UInt8])
    /// The first message that an end seals under the next epoch: the client when it has the answer, the server in turn.
    case rekeyDone

    private enum Kind {
        static let ping: UInt8 = 1
        static let pong: UInt8 = 2
        static let drain: UInt8 = 3
        static let kick: UInt8 = 4
        static let denied: UInt8 = LoginAnswer.deniedType
        static let rekey: UInt8 = 6
        static let rekeyAnswer: UInt8 = 7
        static let rekeyDone: UInt8 = 8
    }

    /// Type, body. Of a reason, control characters are left out, and what is beyond 255 bytes.
    public func encode() -> [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .ping(let number):
            bytes.append(Kind.ping)
            bytes.append(bigEndian: number)
        case .pong(let number):
            bytes.append(Kind.pong)
            bytes.append(bigEndian: number)
        case .drain(let reason):
            bytes.append(Kind.drain)
            bytes.append(text: wireText(reason))
        case .kick(let code, let reason):
            bytes.append(Kind.kick)
            bytes.append(bigEndian: code)
            bytes.append(text: wireText(reason))
        case .denied(let refusal):
            bytes.append(Kind.denied)
            bytes.append(refusal.code)
            bytes.append(bigEndian: refusal.seconds)
        case .rekey(let message):
            bytes.append(Kind.rekey)
            bytes.append(bigEndian: UInt16(message.count))
            bytes += message
        case .rekeyAnswer(let message):
            bytes.append(Kind.rekeyAnswer)
            bytes.append(bigEndian: UInt16(message.count))
            bytes += message
        case .rekeyDone:
            bytes.append(Kind.rekeyDone)
        }
        return bytes
    }

    /// - Throws: `unknownType` for a message of a later version; see `known`.
    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        let type = try reader.byte()
        switch type {
        case Kind.ping: self = .ping(try reader.integer(UInt64.self))
        case Kind.pong: self = .pong(try reader.integer(UInt64.self))
        case Kind.drain: self = .drain(reason: try reader.text())
        case Kind.kick:
            let code = try reader.integer(UInt64.self)
            self = .kick(code: code, reason: try reader.text())
        case Kind.denied:
            let code = try reader.byte()
            self = .denied(LoginRefusal(code: code, seconds: try reader.integer(UInt32.self)))
        case Kind.rekey: self = .rekey(Array(try reader.bytes(Int(try reader.integer(UInt16.self)))))
        case Kind.rekeyAnswer: self = .rekeyAnswer(Array(try reader.bytes(Int(try reader.integer(UInt16.self)))))
        case Kind.rekeyDone: self = .rekeyDone
        default: throw .unknownType(type)
        }
    }

    /// The message, or nil for a type of a later version, which the receiver ignores.
    public static func known(_ bytes: [UInt8]) throws(MessageError) -> ControlMessage? {
        do throws(MessageError) {
            return try ControlMessage(parsing: bytes)
        } catch {
            if case .unknownType = error { return nil }
            throw error
        }
    }
}
