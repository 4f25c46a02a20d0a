import Primitives

/// UDP payloads laid end to end in the caller's buffer, for one `sendmsg` with UDP_SEGMENT.
public struct OutgoingBatch: Equatable, Sendable {
    /// Bytes in all.
    public var count: Int
    /// Bytes of each payload; the last may be shorter.
    public var segmentSize: Int
    public var remote: Endpoint
    public var local: Endpoint
    /// The ECN codepoint to send with (RFC 3168): 0 none, 1 ECT(1), 2 ECT(0), 3 CE.
    public var ecn: UInt8

    public init(count: Int, segmentSize: Int, remote: Endpoint, local: Endpoint, ecn: UInt8) {
        self.count = count
        self.segmentSize = segmentSize
        self.remote = remote
        self.local = local
        self.ecn = ecn
    }

    public var packets: Int { segmentSize == 0 ? 0 : (count + segmentSize - 1) / segmentSize }
}
