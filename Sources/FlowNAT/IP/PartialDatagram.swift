import Packets
import Primitives

/// One datagram of which some fragments are here.
///
/// Every fragment's bytes go to their place at once: the memory holds the first fragment's headers, then the payload from
/// `headerRoom` on. So the first fragment lies there as it came, to be quoted, and a complete datagram needs no copy.
struct PartialDatagram {
    /// Room for the headers that fragments repeat. IPv4's take 60 bytes; an IPv6 sender with more is not of good will.
    static let headerRoom = 256
    /// Offsets and lengths in IP have 16 bits.
    static let maximumPayload = 0xFFFF

    /// What became of a fragment.
    enum Outcome: Equatable {
        case held
        case complete
        /// The same bytes once more.
        case duplicate
        /// The datagram is refused, with all of its fragments, those not yet here too (RFC 5722, section 3).
        case overlap, tooMany, impossible
    }

    let key: FragmentKey
    /// From the first arrival on (RFC 791, section 3.2; RFC 8200, section 4.5).
    let deadline: Instant
    /// Nothing more is taken; kept until the deadline, so that later fragments do not begin anew.
    private(set) var isRefused = false
    private let memory: UnsafeMutableRawPointer
    /// Ranges that are here, by their start, without overlap.
    private let ranges: UnsafeMutablePointer<(start: UInt16, end: UInt16)>
    private let maximumFragments: Int
    private var count = 0
    /// Bytes here, and in all once the last fragment is here.
    private var received = 0
    private var total: Int?
    private var first: Fragment?
    /// Bit n: a fragment had the ECN code point n (RFC 3168, section 5.3).
    private var codePoints: UInt8 = 0

    /// - Parameters:
    ///   - memory: `memorySize` bytes for as long as this value is in use.
    ///   - maximumFragments: at least 1.
    init(key: FragmentKey, deadline: Instant, memory: UnsafeMutableRawPointer, maximumFragments: Int) {
        self.key = key
        self.deadline = deadline
        self.memory = memory
        self.maximumFragments = maximumFragments
        ranges = (memory + Self.rangesOffset).bindMemory(
            to: (start: UInt16, end: UInt16).self, capacity: maximumFragments)
    }

    private static let rangesOffset = (headerRoom + maximumPayload + 15) & ~15

    static func memorySize(maximumFragments: Int) -> Int {
        rangesOffset + maximumFragments * MemoryLayout<(start: UInt16, end: UInt16)>.stride
    }

    // MARK: - In

    mutating func add(_ fragment: Fragment, _ packet: UnsafeRawBufferPointer) -> Outcome {
        let outcome = place(fragment, packet)
        switch outcome {
        case .held, .complete, .duplicate: break
        case .overlap, .tooMany, .impossible: isRefused = true
        }
        return outcome
    }

    private mutating func place(_ fragment: Fragment, _ packet: UnsafeRawBufferPointer) -> Outcome {
        // Beyond 65 535 bytes: the "ping of death".
        guard fragment.end <= Self.maximumPayload, fragment.headerLength <= Self.headerRoom else { return .impossible }
        let bytes = UnsafeRawBufferPointer(
            rebasing: packet[fragment.headerLength..<fragment.headerLength + fragment.length])
        let index = position(of: fragment.start)
        if index < count, ranges[index] == (UInt16(fragment.start), UInt16(fragment.end)) {
            return isRepetition(fragment, bytes) ? .duplicate : .overlap
        }
        guard index == 0 || ranges[index - 1].end <= fragment.start,
            index == count || ranges[index].start >= fragment.end
        else { return .overlap }
        guard isWithinEnd(fragment, isHighest: index == count) else { return .impossible }
        guard count < maximumFragments else { return .tooMany }

        var move = count
        while move > index {
            ranges[move] = ranges[move - 1]
            move -= 1
        }
        ranges[index] = (UInt16(fragment.start), UInt16(fragment.end))
        count += 1
        received += fragment.length
        codePoints |= 1 << (fragment.trafficClass & 3)
        if fragment.isLast { total = fragment.end }
        payload.advanced(by: fragment.start).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        if fragment.isFirst {
            first = fragment
            (payload - fragment.headerLength).copyMemory(
                from: packet.baseAddress!, byteCount: fragment.headerLength)
        }
        guard received == total else { return .held }
        return finish() ? .complete : .impossible
    }

    private var payload: UnsafeMutableRawPointer { memory + Self.headerRoom }

    /// Where a range that starts there stands or belongs. Fragments mostly come in order, so the search begins behind.
    private func position(of start: Int) -> Int {
        var index = count
        while index > 0, ranges[index - 1].start >= start { index -= 1 }
        return index
    }

    /// The same in every byte and in being the last or not (RFC 8200, section 4.5, allows to drop exact duplicates).
    private func isRepetition(_ fragment: Fragment, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard fragment.isLast == (fragment.end == total) else { return false }
        return bytes.elementsEqual(UnsafeRawBufferPointer(start: payload + fragment.start, count: bytes.count))
    }

    /// The end of the datagram is said once, and nothing lies at or beyond it.
    private func isWithinEnd(_ fragment: Fragment, isHighest: Bool) -> Bool {
        if fragment.isLast { return total == nil && isHighest }
        return total.map { fragment.end < $0 } ?? true
    }

    // MARK: - Out

    /// The first fragment as it came, to be quoted; nil while it is not here.
    var firstFragment: UnsafeRawBufferPointer? {
        guard let first, !isRefused else { return nil }
        return UnsafeRawBufferPointer(start: payload - first.headerLength, count: first.headerLength + first.length)
    }

    /// The whole datagram after `.complete`: one packet without a trace of fragments.
    var packet: UnsafeRawBufferPointer? {
        guard let first, let total, received == total else { return nil }
        let header = first.headerLength - (key.source.isIPv4 ? 0 : Fragment.fragmentHeaderLength)
        return UnsafeRawBufferPointer(start: payload - header, count: header + total)
    }

    /// Rewrites the headers for the whole; false when they cannot express it.
    private mutating func finish() -> Bool {
        guard let first, let total else { return false }
        // RFC 3168, section 5.3: CE in one is CE of the whole, unless another was from a sender without ECN.
        let (notCapable, experienced) = (codePoints & 1 != 0, codePoints & 8 != 0)
        guard !(notCapable && experienced) else { return false }
        let ecn = experienced ? 3 : first.trafficClass & 3
        let trafficClass = first.trafficClass & ~3 | ecn
        if key.source.isIPv4 {
            guard first.headerLength + total <= 0xFFFF else { return false }
            let header = payload - first.headerLength
            header.storeBytes(of: trafficClass, toByteOffset: 1, as: UInt8.self)
            header.storeBigEndian(UInt16(first.headerLength + total), at: 2)
            header.storeBigEndian(UInt16(0), at: 6)
            PacketWriter.setIPv4HeaderChecksum(at: header, headerLength: first.headerLength)
        } else {
            // The fragment header goes, and what stood before it moves to its end.
            let length = first.headerLength - Fragment.fragmentHeaderLength
            guard length - PacketWriter.ipv6HeaderLength + total <= 0xFFFF else { return false }
            let header = payload - length
            memmove(header, from: payload - first.headerLength, count: length)
            let word = UnsafeRawPointer(header).loadBigEndian(at: 0, as: UInt32.self)
            header.storeBigEndian(word & 0xF00F_FFFF | UInt32(trafficClass) << 20, at: 0)
            header.storeBigEndian(UInt16(length - PacketWriter.ipv6HeaderLength + total), at: 4)
            header.storeBytes(of: first.nextHeader, toByteOffset: first.nextHeaderField, as: UInt8.self)
        }
        return true
    }

    private func memmove(_ to: UnsafeMutableRawPointer, from: UnsafeMutableRawPointer, count: Int) {
        UnsafeMutableRawBufferPointer(start: to, count: count).copyMemory(
            from: UnsafeRawBufferPointer(start: from, count: count))
    }
}
