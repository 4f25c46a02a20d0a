import CLinux
import Primitives

extension UDPSocket {
    /// Sockets that share one endpoint, for as many loops. The kernel gives each datagram to the socket whose number is
    /// the first byte of the QUIC connection ID that it is for, modulo `count`; so a client that changes its address
    /// still reaches the loop that knows it. The server puts the loop's number there, a client's first packet has
    /// chance there.
    public static func steered(bind endpoint: Endpoint, count: Int, offload: Offload = .auto)
        throws(SystemError) -> [UDPSocket]
    {
        guard count > 1 else { return [try UDPSocket(bind: endpoint, offload: offload)] }
        // Bound alone, so that a port in use is found; then it lets the others join. A group's first socket has number 0.
        var sockets = [try UDPSocket(bind: endpoint, offload: offload)]
        try checked(clinux_set(sockets[0].descriptor, CLINUX_REUSE_PORT, 1), "set SO_REUSEPORT")
        while sockets.count < count {
            sockets.append(try UDPSocket(bind: sockets[0].local, offload: offload, sharesPort: true))
        }
        try checked(
            clinux_steer_by_connection_id(sockets[1].descriptor, UInt32(count)), "steer datagrams by connection ID")
        return sockets
    }
}
