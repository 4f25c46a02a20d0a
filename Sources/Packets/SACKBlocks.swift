/// Bytes received out of order: from `start` up to but not including `end` (RFC 2018, section 3).
public struct SACKBlock: Equatable, Sendable {
    public var start: SequenceNumber
    public var end: SequenceNumber

    @inlinable public init(start: SequenceNumber, end: SequenceNumber) {
        self.start = start
        self.end = end
    }
}

/// Up to four blocks, in place.
public struct SACKBlocks: RandomAccessCollection, Equatable, Sendable {
    /// More do not fit into the options.
    public static let limit = 4

    @usableFromInline var blocks: (SACKBlock, SACKBlock, SACKBlock, SACKBlock)
    @usableFromInline var used: Int
    @inlinable public var count: Int { used }

    @inlinable public init() {
        used = 0
        let zero = SACKBlock(start: SequenceNumber(0), end: SequenceNumber(0))
        blocks = (zero, zero, zero, zero)
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { count }

    public subscript(index: Int) -> SACKBlock {
        precondition(index >= 0 && index < count, "a block that is not there")
        switch index {
        case 0: return blocks.0
        case 1: return blocks.1
        case 2: return blocks.2
        default: return blocks.3
        }
    }

    /// - Returns: false when there are four already; then nothing changes.
    public mutating func append(_ block: SACKBlock) -> Bool {
        switch used {
        case 0: blocks.0 = block
        case 1: blocks.1 = block
        case 2: blocks.2 = block
        case 3: blocks.3 = block
        default: return false
        }
        used += 1
        return true
    }

    @inlinable public mutating func removeAll() { used = 0 }

    public static func == (a: SACKBlocks, b: SACKBlocks) -> Bool { a.elementsEqual(b) }
}
