import Primitives
import Tunnel

/// What carries the flows of a run to the target: the tunnel's protocol spoken directly, sockets, or a proxy.
public protocol FlowCarrier: AnyObject {
    /// Begins a flow. How that ended is told to `flow` later, never inside this call.
    /// - Throws: what is known at once.
    func open(_ flow: LoadFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any FlowChannel
}

/// One flow on its carrier. It tells its `LoadFlow` what happens, until `close`; but never inside a call of these functions.
public protocol FlowChannel: AnyObject {
    /// Takes bytes. Where it takes fewer than given, `channelWritable` says when to go on.
    func write(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int
    /// Nothing more is written: the target sees the end of the stream after what was taken.
    func finish(now: Instant)
    /// The flow is over. Nothing more is told of it.
    /// - Parameter reset: abortively, so that what was not sent yet is lost.
    func close(reset: Bool, now: Instant)
}

/// What carries datagrams to the target.
public protocol DatagramCarrier: AnyObject {
    func open(_ flow: DatagramFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any DatagramFlowChannel
}

public protocol DatagramFlowChannel: AnyObject {
    /// Sends datagrams of one size that lie one behind the other.
    /// - Returns: how many left, in order from the first; those that did not are lost.
    /// - Throws: what the network refuses.
    func send(_ bytes: UnsafeRawBufferPointer, size: Int, now: Instant) throws(FlowFailure) -> Int
    func close()
}
