import Primitives
import QuicTransport

extension ConnectionStatistics: CustomStringConvertible {
    /// For logs: everything, in one line of `name=value`; times in microseconds, sizes in bytes.
    public var description: String {
        let figures: [(String, Int)] = [
            ("rtt_us", Int(smoothedRTT.nanoseconds / 1_000)), ("min_rtt_us", Int(minimumRTT.nanoseconds / 1_000)),
            ("window", congestionWindow), ("in_flight", bytesInFlight), ("pacing", pacingRate),
            ("payload", pathPayload),
            ("packets_sent", packetsSent), ("bytes_sent", bytesSent), ("packets_received", packetsReceived),
            ("bytes_received", bytesReceived), ("lost", lostPackets), ("marked", congestionMarks),
            ("migrations", migrations), ("black_holes", blackHoles),
            ("paths_validated", pathsValidated), ("paths_failed", pathsFailed),
            ("from_other_paths", datagramsFromOtherPaths), ("key_updates", keyUpdates), ("tokens_given", tokensGiven),
            ("rare_frames", rareFramesReceived), ("limits_exceeded", limitsExceeded), ("library_bytes", libraryMemory),
            ("streams_open", streamsOpen),
            ("streams_opened", streamsOpened), ("datagrams_sent", datagramsSent),
            ("datagrams_lost", datagramsLost), ("datagrams_received", datagramsReceived),
            ("datagrams_dropped", datagramsDropped),
        ]
        return figures.map { "\($0)=\($1)" }.joined(separator: " ")
    }
}
