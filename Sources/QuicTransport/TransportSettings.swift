import CNgtcp2
import Primitives

/// The congestion controllers that ngtcp2 brings along.
public enum CongestionControl: String, Sendable, CaseIterable {
    case reno, cubic, bbr, bbr2
}

/// What one side of a connection asks for. Both sides have their own, and none must equal the peer's.
public struct TransportSettings: Sendable {
    /// The name both sides must agree on (ALPN, RFC 7301).
    public var applicationProtocol = "penstock/2"
    public var congestionControl: CongestionControl = .bbr2
    /// A connection on which nothing arrived for so long is given up (RFC 9000, section 10.1).
    public var idleTimeout: Interval = .seconds(30)
    /// A handshake that takes longer is given up.
    public var handshakeTimeout: Interval = .seconds(10)
    /// A PING is sent when the connection was quiet for so long; nil for never.
    public var keepAlive: Interval?
    /// Bytes a peer may send on one stream ahead of `extendCredit`, at most: a window begins at `initialStreamWindow` and
    /// grows with what is passed on (`ReceiveWindow`). 32 MB fill 1 Gbit/s over 250 ms.
    public var streamWindow = 32 << 20
    /// The same for all streams together, from `initialConnectionWindow` on.
    public var connectionWindow = 128 << 20
    /// Bidirectional streams that the peer may have open at once.
    public var maximumStreams = 4096
    /// The largest DATAGRAM frame that this side takes (RFC 9221); 0 refuses datagrams.
    public var maximumDatagramPayload = 65_535
    /// Datagrams that wait to be sent; the oldest is dropped when one more comes. This bounds memory, 1.5 KiB for each.
    public var datagramQueueLimit = 4096
    /// How long a datagram may wait to be sent; then it is dropped. This bounds delay where the path is slow.
    public var datagramPatience: Interval = .milliseconds(100)
    /// The largest UDP payload to send, in bytes, from 1200 to 1500. Larger than 1200 needs path MTU discovery.
    public var maximumUDPPayload = 1452
    /// Probes how large packets the path carries (RFC 9000, section 14.3). Without it, packets stay at 1200 bytes.
    public var pathMTUDiscovery = true

    /// Where windows begin, unless their limit is smaller.
    public static let initialStreamWindow = 1 << 20
    public static let initialConnectionWindow = 16 << 20

    /// Keys are changed after so many packets sent. AES-GCM keeps its margin up to 2^23 (RFC 9001, section 6.6); ngtcp2
    /// changes them there by itself, or ends the connection.
    public var keyUpdatePackets = 1 << 22
    /// Keys are changed after so long, on a connection that is in use.
    public var keyUpdateInterval: Interval = .seconds(3_600)

    /// PATH_CHALLENGE, NEW_CONNECTION_ID and RETIRE_CONNECTION_ID frames that a peer may send, at once and in each second.
    /// Beyond that the connection is closed: each makes work and an answer, and a client that moves needs a handful.
    public var rareFrameBurst = 256
    public var rareFramesPerSecond = 16
    /// Bytes that the library may hold for a connection, beyond what fits into the connection's window once: streams, what is
    /// in flight, and the lists of what came out of order. A peer that sends every other byte of a window fills them.
    public var libraryMemoryMargin = 32 << 20
    /// The code of the application with which a peer is sent away that went beyond a limit.
    public var limitErrorCode: UInt64 = 0x106

    /// Asked for each connection; nil writes no qlog.
    public var qlog: QlogMaker?

    /// The version a client starts with; tests try others.
    var version = UInt32(NGTCP2_PROTO_VER_V1)

    /// Replaces the encryption of a client's packets; tests write into them what no honest peer says.
    var encrypt: Encrypt?
    typealias Encrypt =
        @convention(c) @Sendable (
            UnsafeMutablePointer<UInt8>?, UnsafePointer<ngtcp2_crypto_aead>?, UnsafePointer<ngtcp2_crypto_aead_ctx>?,
            UnsafePointer<UInt8>?, Int, UnsafePointer<UInt8>?, Int, UnsafePointer<UInt8>?, Int
        ) -> Int32

    public init() {}

    var startStreamWindow: Int { max(min(streamWindow, Self.initialStreamWindow), 0) }
    /// What the handshake announces of it; the rest follows at once in MAX_DATA. ngtcp2 sends that frame when half of what the
    /// handshake announced is to be granted, so with all of it there, a peer whose bytes wait for a few slow readers would have
    /// up to half a window left to use and never hear of it again.
    var firstConnectionWindow: Int { min(startConnectionWindow, Self.initialStreamWindow) }
    var startConnectionWindow: Int { max(min(connectionWindow, Self.initialConnectionWindow), 0) }

    /// Bytes that the library may hold.
    var libraryMemoryLimit: Int { connectionWindow + libraryMemoryMargin }

    /// What every path of QUIC carries (RFC 9000, section 14).
    static let minimumUDPPayload = 1200

    /// Bytes of one packet's buffer: what ngtcp2 may write at most.
    var packetCapacity: Int { min(max(maximumUDPPayload, Self.minimumUDPPayload), 1500) }
}

extension CongestionControl {
    var algorithm: ngtcp2_cc_algo {
        switch self {
        case .reno: NGTCP2_CC_ALGO_RENO
        case .cubic: NGTCP2_CC_ALGO_CUBIC
        case .bbr: NGTCP2_CC_ALGO_BBR
        case .bbr2: NGTCP2_CC_ALGO_BBR2
        }
    }
}

extension TransportSettings {
    func makeNative(now: Instant) -> ngtcp2_settings {
        var native = ngtcp2_settings()
        ngtcp2_settings_default(&native)
        native.cc_algo = congestionControl.algorithm
        native.initial_ts = now.nanoseconds
        native.max_tx_udp_payload_size = pathMTUDiscovery ? packetCapacity : Self.minimumUDPPayload
        native.handshake_timeout = UInt64(max(handshakeTimeout.nanoseconds, 1))
        // Windows are ours to grow (`ReceiveWindow`): ngtcp2 asks that all of one be used up in two round trips, which none is
        // on a path that loses.
        native.max_stream_window = 0
        native.max_window = 0
        // Not `no_pmtud`: with that, ngtcp2 0.12.1 ends the process when a client returns to its former address. A discovery
        // that finds nothing larger to try is over at once.
        return native
    }

    func makeTransportParameters() -> ngtcp2_transport_params {
        var native = ngtcp2_transport_params()
        ngtcp2_transport_params_default(&native)
        native.initial_max_data = UInt64(firstConnectionWindow)
        native.initial_max_stream_data_bidi_local = UInt64(startStreamWindow)
        native.initial_max_stream_data_bidi_remote = UInt64(startStreamWindow)
        native.initial_max_streams_bidi = UInt64(max(maximumStreams, 0))
        native.max_idle_timeout = UInt64(max(idleTimeout.nanoseconds, 0))
        native.max_datagram_frame_size = UInt64(max(maximumDatagramPayload, 0))
        native.active_connection_id_limit = 4
        return native
    }
}
