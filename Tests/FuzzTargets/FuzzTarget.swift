/// What the fuzzers call with their inputs, and the tests with the inputs that were kept. A finding is a trap.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// Bytes as an IP packet, and what is in it.
    case headers
    /// Bytes as TCP options.
    case options
    /// Bytes as a virtio header and a packet: cutting and joining super-segments.
    case offload
    /// Bytes as packets for a `FlowNAT`: fragments, foreign protocols, anything.
    case packets
    /// Bytes as calls of a `FlowNAT` and segments of its applications.
    case flows
    /// Bytes as calls of a `FlowNAT` and datagrams of its applications.
    case datagrams
    /// Bytes as datagrams and the fragments that they come in.
    case fragments
    /// Bytes as a request for a flow, and what a server does with its destination.
    case requests
    /// Bytes as what a stranger says on the control stream.
    case handshake
    /// Bytes as hello, welcome, requests, replies and control messages.
    case messages
    /// Bytes as a configuration file, the environment, and what is in the files that it names.
    case configuration
    /// Bytes as a link, or as what is in one.
    case links
    /// Bytes as a line of a user's list of destinations.
    case destinations

    public func run(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .headers: fuzzHeaders(bytes)
        case .options: fuzzOptions(bytes)
        case .offload: fuzzOffload(bytes)
        case .packets: fuzzPackets(bytes)
        case .flows: fuzzFlows(bytes)
        case .datagrams: fuzzDatagrams(bytes)
        case .fragments: fuzzFragments(bytes)
        case .requests: fuzzRequests(bytes)
        case .handshake: fuzzHandshake(bytes)
        case .messages: fuzzMessages(bytes)
        case .configuration: fuzzConfiguration(bytes)
        case .links: fuzzLinks(bytes)
        case .destinations: fuzzDestinations(bytes)
        }
    }
}

/// Reads an input piece by piece; past its end everything is zero.
struct FuzzInput {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        guard position < bytes.count else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func word() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }

    /// The next bytes, as many as there are.
    mutating func slice(_ count: Int) -> UnsafeRawBufferPointer {
        let end = position + min(bytes.count - position, count)
        defer { position = end }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
    }
}

/// Traps with a sentence, in optimised builds too.
@inline(__always)
func require(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { fatalError(message()) }
}

/// Numbers for secrets: the same each time, so that an input always does the same.
struct FixedNumbers: RandomNumberGenerator {
    private var state: UInt64 = 1

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state
    }
}
