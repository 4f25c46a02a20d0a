import Primitives

/// The TCP options we know: MSS (RFC 9293), window scale and timestamps (RFC 7323), SACK (RFC 2018).
public struct TCPOptions: Sendable {
    /// The largest shift of a window; a larger one counts as this (RFC 7323, section 2.3).
    public static let maximumWindowScale: UInt8 = 14
    /// Bytes that all options may take.
    public static let maximumLength = 40

    /// Two NOPs, then the kind and the length of timestamps.
    @inlinable static var timestampsAlone: UInt32 { 0x0101_080A }

    public var maximumSegmentSize: UInt16?
    public var windowScale: UInt8?
    public var sackPermitted: Bool
    public var timestamps: (value: UInt32, echo: UInt32)?
    public var sack: SACKBlocks

    public static let none = TCPOptions()

    @inlinable public init(
        maximumSegmentSize: UInt16? = nil, windowScale: UInt8? = nil, sackPermitted: Bool = false,
        timestamps: (value: UInt32, echo: UInt32)? = nil, sack: SACKBlocks = SACKBlocks()
    ) {
        self.maximumSegmentSize = maximumSegmentSize
        self.windowScale = windowScale
        self.sackPermitted = sackPermitted
        self.timestamps = timestamps
        self.sack = sack
    }

    enum Kind {
        static let end: UInt8 = 0
        static let noOperation: UInt8 = 1
        static let maximumSegmentSize: UInt8 = 2
        static let windowScale: UInt8 = 3
        static let sackPermitted: UInt8 = 4
        static let sack: UInt8 = 5
        static let timestamps: UInt8 = 8
    }

    /// Reads the options between the fixed header and the payload.
    ///
    /// Unknown kinds are skipped, and known ones whose length is wrong. A length that points outside ends the reading,
    /// since no later option can be found; what was read before stays. When a kind comes twice the last one counts.
    @inlinable @inline(__always) public init(_ bytes: RawSpan) {
        self.init()
        if bytes.byteCount == 0 { return }
        // What nearly every segment of a connection with timestamps carries (RFC 7323, appendix A).
        if bytes.byteCount == 12, bytes.bigEndian(at: 0, as: UInt32.self) == Self.timestampsAlone {
            timestamps = (bytes.bigEndian(at: 4, as: UInt32.self), bytes.bigEndian(at: 8, as: UInt32.self))
            return
        }
        readAll(bytes)
    }

    @usableFromInline mutating func readAll(_ bytes: RawSpan) {
        var at = 0
        while at < bytes.byteCount {
            let kind = bytes.byte(at: at)
            if kind == Kind.end { return }
            if kind == Kind.noOperation {
                at += 1
                continue
            }
            guard at + 2 <= bytes.byteCount else { return }
            let length = Int(bytes.byte(at: at + 1))
            guard length >= 2, at + length <= bytes.byteCount else { return }
            read(kind, bytes.extracting(at + 2..<at + length))
            at += length
        }
    }

    private mutating func read(_ kind: UInt8, _ value: RawSpan) {
        switch (kind, value.byteCount) {
        case (Kind.maximumSegmentSize, 2):
            maximumSegmentSize = value.bigEndian(at: 0, as: UInt16.self)
        case (Kind.windowScale, 1):
            windowScale = min(value.byte(at: 0), Self.maximumWindowScale)
        case (Kind.sackPermitted, 0):
            sackPermitted = true
        case (Kind.timestamps, 8):
            timestamps = (value.bigEndian(at: 0, as: UInt32.self), value.bigEndian(at: 4, as: UInt32.self))
        case (Kind.sack, let count) where count > 0 && count % 8 == 0:
            sack.removeAll()
            for at in stride(from: 0, to: count, by: 8) {
                let start = SequenceNumber(value.bigEndian(at: at, as: UInt32.self))
                let end = SequenceNumber(value.bigEndian(at: at + 4, as: UInt32.self))
                _ = sack.append(SACKBlock(start: start, end: end))
            }
        default:
            break
        }
    }

    // MARK: Writing

    /// Bytes that `store` writes: a multiple of four, at most `maximumLength`.
    public var encodedLength: Int { fixedLength + (encodedBlocks == 0 ? 0 : 4 + 8 * encodedBlocks) }

    private var fixedLength: Int {
        (maximumSegmentSize == nil ? 0 : 4) + (windowScale == nil ? 0 : 4)
            + (timestamps != nil ? 12 : sackPermitted ? 4 : 0)
    }

    /// SACK blocks that fit beside the other options: three beside timestamps (RFC 2018, section 3).
    private var encodedBlocks: Int { max(0, min(sack.count, (Self.maximumLength - fixedLength - 4) / 8)) }

    /// Writes `encodedLength` bytes; the caller has checked that there is room. Each option is filled up to four bytes
    /// by the NOPs before it (RFC 7323, appendix A), and SACK-permitted takes their place before the timestamps.
    /// - Returns: the bytes written.
    func store(to memory: UnsafeMutableRawPointer) -> Int {
        if maximumSegmentSize == nil, windowScale == nil, !sackPermitted, sack.isEmpty {
            guard let timestamps else { return 0 }
            memory.storeBigEndian(Self.timestampsAlone, at: 0)
            memory.storeBigEndian(timestamps.value, at: 4)
            memory.storeBigEndian(timestamps.echo, at: 8)
            return 12
        }
        var at = 0
        func put(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
            memory.storeBigEndian(UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d), at: at)
            at += 4
        }
        if let maximumSegmentSize {
            let (high, low) = (maximumSegmentSize >> 8, maximumSegmentSize & 255)
            put(Kind.maximumSegmentSize, 4, UInt8(high), UInt8(low))
        }
        if let timestamps {
            if sackPermitted {
                put(Kind.sackPermitted, 2, Kind.timestamps, 10)
            } else {
                put(Kind.noOperation, Kind.noOperation, Kind.timestamps, 10)
            }
            memory.storeBigEndian(timestamps.value, at: at)
            memory.storeBigEndian(timestamps.echo, at: at + 4)
            at += 8
        } else if sackPermitted {
            put(Kind.noOperation, Kind.noOperation, Kind.sackPermitted, 2)
        }
        if let windowScale { put(Kind.noOperation, Kind.windowScale, 3, windowScale) }
        let blocks = encodedBlocks
        if blocks > 0 {
            put(Kind.noOperation, Kind.noOperation, Kind.sack, UInt8(2 + 8 * blocks))
            for index in 0..<blocks {
                memory.storeBigEndian(sack[index].start.rawValue, at: at)
                memory.storeBigEndian(sack[index].end.rawValue, at: at + 4)
                at += 8
            }
        }
        return at
    }
}

extension TCPOptions: Equatable {
    public static func == (a: TCPOptions, b: TCPOptions) -> Bool {
        a.maximumSegmentSize == b.maximumSegmentSize && a.windowScale == b.windowScale
            && a.sackPermitted == b.sackPermitted && a.sack == b.sack
            && a.timestamps?.value == b.timestamps?.value && a.timestamps?.echo == b.timestamps?.echo
    }
}
