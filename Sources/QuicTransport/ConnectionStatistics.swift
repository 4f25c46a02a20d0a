import Primitives

/// Figures of one connection at one moment.
public struct ConnectionStatistics: Equatable, Sendable {
    public var smoothedRTT: Interval = .zero
    public var latestRTT: Interval = .zero
    public var minimumRTT: Interval = .zero
    /// Bytes that congestion control allows in flight.
    public var congestionWindow = 0
    public var bytesInFlight = 0
    /// Bytes per second, as congestion control paces; 0 when it sets none.
    public var pacingRate = 0
    /// The largest UDP payload that the path was found to carry.
    public var pathPayload = 0

    public var packetsSent = 0
    public var bytesSent = 0
    public var packetsReceived = 0
    public var bytesReceived = 0
    /// Lost packets that carried stream data; a packet with data of two streams counts twice.
    public var lostPackets = 0

    public var streamsOpen = 0
    public var streamsOpened = 0
    public var datagramsSent = 0
    public var datagramsReceived = 0
    /// Datagrams that did not leave: the queue was full, or they were larger than a packet.
    public var datagramsDropped = 0
}
