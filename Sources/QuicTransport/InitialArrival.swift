import CNgtcp2
import Primitives

/// A client's first packet, as far as its header says.
struct InitialArrival {
    var remote: Endpoint
    var local: Endpoint
    /// The destination connection ID in the packet: the client's own choice, or what a Retry told it.
    var destination: ConnectionID
    /// The identifier by which the client wants to be addressed.
    var source: ConnectionID
    /// The client's first choice, known from the Retry token when there was a Retry.
    var originalDestination: ConnectionID?
    var token: [UInt8]

    /// Nil when the datagram does not start with an acceptable Initial packet of version 1.
    init?(_ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint) {
        var header = ngtcp2_pkt_hd()
        guard let base = datagram.baseAddress,
            ngtcp2_accept(&header, base.assumingMemoryBound(to: UInt8.self), datagram.count) == 0,
            header.version == UInt32(NGTCP2_PROTO_VER_V1)
        else { return nil }
        self.remote = remote
        self.local = local
        destination = ConnectionID(header.dcid)
        source = ConnectionID(header.scid)
        token = Array(UnsafeBufferPointer(start: UnsafePointer(header.token.base), count: header.token.len))
    }
}
