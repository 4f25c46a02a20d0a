import Primitives

/// Names one UDP association for as long as it lives: all datagrams of one endpoint of the application's side, wherever
/// they go (endpoint-independent mapping: RFC 4787, section 4.1, REQ-1).
///
/// Of a number space of its own, apart from `FlowID`.
public struct AssociationID: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32

    /// Where an owner may keep its own data: small numbers, no two living associations share one.
    public var index: Int { Int(slot) }
}

/// Takes one datagram of an application: who sent it, where it is to go, and its payload in place, good for the call.
public typealias DatagramConsumer = (AssociationID, Endpoint, UnsafeRawBufferPointer) -> Void
