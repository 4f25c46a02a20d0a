/// What both ends must agree on before the first message; docs/PROTOCOL.md has every byte.
public enum TunnelProtocol {
    /// The first byte of request, reply, hello and welcome.
    public static let version: UInt8 = 2
    /// The protocol name in the TLS handshake (ALPN, RFC 7301).
    public static let applicationProtocol = "penstock/2"
    /// QUIC stream ID of the control stream: the first bidirectional stream of the client (RFC 9000, section 2.1).
    public static let controlStream: Int64 = 0
}
