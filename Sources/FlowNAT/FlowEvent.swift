import Primitives

/// What FlowNAT tells its owner.
public enum FlowEvent: Equatable, Sendable {
    /// An application wants a connection. Answer with `accept` or `reject`; nothing goes back to it before that.
    case connect(FlowID, FlowAddresses)
    /// The handshake is over: both ends may send.
    case established(FlowID)
    /// The application has sent its FIN; all bytes before it were delivered.
    case finished(FlowID)
    /// The application acknowledged this many bytes of those that were written to it.
    case drained(FlowID, Int)
    /// The flow was cut: RST from the application, or given up after too many retransmissions. The flow is gone.
    case reset(FlowID)
    /// The flow ended in order. The flow is gone.
    case closed(FlowID)

    // UDP
    /// An association was quiet for its time, or made room for another. It is gone.
    case associationEnded(AssociationID)
    /// The application's side refused a datagram from this endpoint (ICMP destination unreachable). The association stays.
    case datagramRefused(AssociationID, Endpoint)
}

/// Why a dial came to nothing, as the application is told.
public enum RejectReason: Hashable, Sendable {
    /// RST: nobody listens there.
    case refused
    /// ICMP destination unreachable.
    case networkUnreachable, hostUnreachable, prohibited
    /// Silence: nobody answered the server, so nobody answers the application.
    case silence
}
