import Primitives

/// Names one flow for as long as it lives. A slot's generation changes with every reuse, so that a late word about a
/// flow that is gone never reaches its successor.
public struct FlowID: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32

    /// Where an owner may keep its own data of the flow: small numbers, no two living flows share one.
    public var index: Int { Int(slot) }
}

/// The addresses of one TCP flow as the application sees them.
public struct FlowAddresses: Hashable, Sendable {
    /// The application's own end.
    public var source: Endpoint
    /// Where the application wants to go: what the server shall dial.
    public var destination: Endpoint

    public init(source: Endpoint, destination: Endpoint) {
        self.source = source
        self.destination = destination
    }
}
