import Primitives

/// The part of the QUIC settings that client and server share.
package struct QuicSettings: Hashable, Sendable {
    package var congestionControl = CongestionControlSetting.bbr2
    /// UDP segmentation (GSO) and coalescing (GRO).
    package var offload = OffloadSetting.auto
    /// A connection without a packet from the peer for this long is over.
    package var idleTimeout = Interval.seconds(30)
    /// A quiet connection sends a PING this often.
    package var keepAlive = Interval.seconds(10)
    /// Bytes that one stream may have in flight towards us, at most; it begins with less and grows as it is used.
    package var streamWindow = 32 << 20
    /// Bytes that all streams together may have in flight towards us. Readers that sleep fill it, each by one stream
    /// window, and when it is full everybody waits for them.
    package var connectionWindow = 128 << 20

    /// A client has one connection and may spend most of its memory on it; a server has many.
    package static let ofClient: QuicSettings = {
        var settings = QuicSettings()
        settings.connectionWindow = 192 << 20
        return settings
    }()
}

extension QuicSettings {
    /// Reads the shared keys; the caller reads its own and refuses the rest.
    init(_ section: ConfigurationSection, defaults: QuicSettings = QuicSettings()) {
        self = defaults
        let window = SettingKind.size((64 << 10)...(1 << 30))
        let time = SettingKind.duration(.seconds(1)...(.seconds(3_600)))
        congestionControl = section.value("congestion-control", .choice, default: congestionControl)
        offload = section.value("offload", .choice, default: offload)
        idleTimeout = section.value("idle-timeout", time, default: idleTimeout)
        keepAlive = section.value("keep-alive", time, default: keepAlive)
        streamWindow = section.value("stream-window", window, default: streamWindow)
        connectionWindow = section.value("connection-window", window, default: connectionWindow)

        if keepAlive >= idleTimeout {
            section.refuse(
                section.has("keep-alive") ? "keep-alive" : "idle-timeout",
                "'\(section.name("keep-alive"))' is \(durationText(keepAlive)), "
                    + "which is not below '\(section.name("idle-timeout"))' of \(durationText(idleTimeout))",
                remedy: "make it a third of the idle timeout")
        }
        if connectionWindow < streamWindow {
            section.refuse(
                section.has("connection-window") ? "connection-window" : "stream-window",
                "'\(section.name("connection-window"))' is \(sizeText(connectionWindow)), "
                    + "less than '\(section.name("stream-window"))' of \(sizeText(streamWindow))",
                remedy: "make it the larger one")
        }
    }
}
