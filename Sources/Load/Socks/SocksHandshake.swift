import Primitives
import Tunnel

/// What a client of a SOCKS5 proxy says to be connected (RFC 1928), without authentication.
///
/// `output` goes to the proxy first; then every byte that comes goes to `receive`, until it says how it ended.
public struct SocksHandshake {
    public enum Outcome: Equatable {
        /// These bytes are to be sent.
        case send([UInt8])
        case wantsMore
        /// The connection is made; what follows belongs to the flow.
        case connected
        case failed(FlowFailure)
    }

    private enum Stage: Equatable {
        case method
        case reply
    }

    private static let version: UInt8 = 5
    private static let noAuthentication: UInt8 = 0
    private static let connect: UInt8 = 1

    private let destination: DestinationAddress
    private var stage = Stage.method
    private var bytes: [UInt8] = []

    public init(to destination: DestinationAddress) { self.destination = destination }

    /// The greeting (section 3): one method, none.
    public var output: [UInt8] { [Self.version, 1, Self.noAuthentication] }

    /// Takes what it needs off the front of `input`.
    public mutating func receive(_ input: inout UnsafeRawBufferPointer) -> Outcome {
        while let byte = input.first {
            input = UnsafeRawBufferPointer(rebasing: input[1...])
            bytes.append(byte)
            switch stage {
            case .method where bytes.count == 2:
                guard bytes[0] == Self.version, bytes[1] == Self.noAuthentication else {
                    return .failed(.proxyRefused)
                }
                bytes = []
                stage = .reply
                return .send(request)
            case .reply:
                if bytes[0] != Self.version { return .failed(.proxyRefused) }
                if bytes.count >= 2, let failure = Self.failure(bytes[1]) { return .failed(failure) }
                guard bytes.count >= 5 else { continue }
                guard let size = replySize else { return .failed(.proxyRefused) }
                if bytes.count == size { return .connected }
            case .method: break
            }
        }
        return .wantsMore
    }

    /// Section 4.
    private var request: [UInt8] {
        var request = [Self.version, Self.connect, 0]
        destination.append(to: &request)
        return request
    }

    /// Bytes of the reply (section 6) whose first five have come; nil when its address type does not exist.
    private var replySize: Int? {
        switch bytes[3] {
        case 1: return 4 + 4 + 2
        case 3: return 4 + 1 + Int(bytes[4]) + 2
        case 4: return 4 + 16 + 2
        default: return nil
        }
    }

    /// Nil for success.
    private static func failure(_ code: UInt8) -> FlowFailure? {
        switch code {
        case 0: nil
        case 2: .notAllowed
        case 3: .networkUnreachable
        case 4: .hostUnreachable
        case 5: .refused
        case 6: .timedOut
        default: .other
        }
    }
}
