import Primitives

/// What is said in one message of an association: in a sealed datagram, or on the association's stream. It is a body with
/// a trailer that says what the body is and whose address belongs to it (docs/PROTOCOL.md, section 6).
///
/// The trailer stands at the end so that bodies which are opened one behind the other lie together, and leave in one
/// system call.
public enum DatagramMessage: Equatable, Sendable {
    /// A datagram: upstream to this endpoint, downstream from it. The body is its payload.
    case payload(Endpoint)
    /// Downstream: a datagram to this endpoint came to nothing.
    case failure(Endpoint, FlowReplyCode)

    /// The most payload of a datagram: what an IPv6 packet without jumbo payload carries (RFC 768, RFC 8200).
    public static let maximumPayload = 65_535 - 8
    /// The most bytes of a whole message.
    public static let maximumSize = maximumPayload + Trailer.maximumSize

    public var endpoint: Endpoint {
        switch self {
        case .payload(let endpoint), .failure(let endpoint, _): endpoint
        }
    }
}

extension DatagramMessage {
    /// The last bytes of a message: an address of IPv4 or IPv6 and a port, or nothing for the request's destination; then
    /// one byte that says which, and what kind of message it is.
    struct Trailer {
        static let maximumSize = 16 + 2 + 1

        private enum Form {
            static let requested: UInt8 = 0
            static let v4: UInt8 = 1
            static let v6: UInt8 = 4
        }
        /// Added to the form where the message is a failure.
        private static let failure: UInt8 = 0x10

        static func size(_ endpoint: Endpoint, requested: Endpoint) -> Int {
            if endpoint == requested { return 1 }
            return endpoint.address.isIPv4 ? 7 : maximumSize
        }

        /// - Returns: bytes written, at most `maximumSize`.
        @inline(__always)
        static func write(
            _ endpoint: Endpoint, requested: Endpoint, isFailure: Bool, to memory: UnsafeMutableRawPointer
        ) -> Int {
            let kind = isFailure ? failure : 0
            var at = 0
            var form = Form.requested
            if endpoint != requested {
                switch endpoint.address {
                case .v4(let address):
                    memory.storeBigEndian(address.value, at: 0)
                    form = Form.v4
                    at = 4
                case .v6(let address):
                    memory.storeBigEndian(address.high, at: 0)
                    memory.storeBigEndian(address.low, at: 8)
                    form = Form.v6
                    at = 16
                }
                memory.storeBigEndian(endpoint.port, at: at)
                at += 2
            }
            memory.storeBytes(of: form | kind, toByteOffset: at, as: UInt8.self)
            return at + 1
        }

        /// The trailer at the end of a message and how many bytes stand before it; nil for one that is cut short, or of a
        /// kind that this version does not know.
        @inline(__always)
        static func read(
            _ message: UnsafeRawBufferPointer, requested: Endpoint
        ) -> (endpoint: Endpoint, isFailure: Bool, bodyCount: Int)? {
            guard let last = message.last, let base = message.baseAddress else { return nil }
            let isFailure = last & failure != 0
            switch last & ~failure {
            case Form.requested:
                return (requested, isFailure, message.count - 1)
            case Form.v4 where message.count >= 7:
                let at = message.count - 7
                let address = IPv4Address(base.loadBigEndian(at: at, as: UInt32.self))
                return (Endpoint(.v4(address), base.loadBigEndian(at: at + 4, as: UInt16.self)), isFailure, at)
            case Form.v6 where message.count >= maximumSize:
                let at = message.count - maximumSize
                let address = IPv6Address(
                    high: base.loadBigEndian(at: at, as: UInt64.self),
                    low: base.loadBigEndian(at: at + 8, as: UInt64.self))
                return (Endpoint(.v6(address), base.loadBigEndian(at: at + 16, as: UInt16.self)), isFailure, at)
            default:
                return nil
            }
        }
    }
}
