import Packets
import Primitives

/// What an ICMP error says about the way to the application: RFC 1191, RFC 8201, RFC 5927.
extension TCPFlow {
    /// Whether a quoted sequence number is of something that we sent and that is not acknowledged. Who cannot see our
    /// packets must guess it (RFC 5927, section 4.1).
    func isOutstanding(_ number: SequenceNumber) -> Bool { unacknowledged <= number && number < highestSent }

    /// Bytes of the largest packet with text.
    var packetSize: Int {
        PacketWriter.ipHeaderLength(isIPv4: addresses.source.address.isIPv4) + TCPHeader.minimumLength + optionLength
            + segmentSize
    }

    /// Segments get smaller, and what was too large goes out again at once. The network lost nothing by congestion, so
    /// the window stays (RFC 1191, section 6.5).
    ///
    /// - Parameter mtu: bytes of an IP packet, less than `packetSize`.
    mutating func lowerSegmentSize(toFit mtu: Int) -> FlowOutcome {
        let size = TCPFlow.maximumSegmentSize(mtu: mtu, isIPv4: addresses.source.address.isIPv4) - optionLength
        segmentSize = min(segmentSize, max(size, TCPFlow.minimumSegmentSize))
        congestion.segment = segmentSize
        switch state {
        case .established, .closeWait, .finWait1, .closing, .lastAck: break
        case .opening, .synReceived, .finWait2, .timeWait: return []
        }
        guard !records.isEmpty else { return [] }
        // As after a timeout, everything goes out again; but nothing was in doubt, and the window is as it was.
        undo.finish()
        records.markAllLost(forgettingSACK: false)
        isRepairFree = !recovery.isRepairing || isRepairFree
        recovery = .timeout(until: nextSend, isDoubtful: false)
        probe = .none
        assumedDelivered = 0
        duplicateAcknowledgments = 0
        return .ready
    }
}
