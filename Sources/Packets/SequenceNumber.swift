/// A TCP sequence number, ordered on the circle of 2³² (RFC 9293, section 3.4).
///
/// `a < b` means that b is less than 2³¹ ahead of a. That is no total order, hence no `Comparable`; numbers are
/// compared within one window, where it behaves like one.
public struct SequenceNumber: Hashable, Sendable {
    public var rawValue: UInt32

    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable public static func + (a: SequenceNumber, n: Int) -> SequenceNumber {
        SequenceNumber(a.rawValue &+ UInt32(truncatingIfNeeded: n))
    }
    @inlinable public static func - (a: SequenceNumber, n: Int) -> SequenceNumber {
        SequenceNumber(a.rawValue &- UInt32(truncatingIfNeeded: n))
    }
    @inlinable public static func += (a: inout SequenceNumber, n: Int) { a = a + n }
    @inlinable public static func -= (a: inout SequenceNumber, n: Int) { a = a - n }

    /// How far a is ahead of b; negative when it is behind.
    @inlinable public static func - (a: SequenceNumber, b: SequenceNumber) -> Int {
        Int(Int32(truncatingIfNeeded: a.rawValue &- b.rawValue))
    }

    @inlinable public static func < (a: SequenceNumber, b: SequenceNumber) -> Bool { a - b < 0 }
    @inlinable public static func <= (a: SequenceNumber, b: SequenceNumber) -> Bool { a - b <= 0 }
    @inlinable public static func > (a: SequenceNumber, b: SequenceNumber) -> Bool { a - b > 0 }
    @inlinable public static func >= (a: SequenceNumber, b: SequenceNumber) -> Bool { a - b >= 0 }

    @inlinable public static func earlier(_ a: SequenceNumber, _ b: SequenceNumber) -> SequenceNumber { a < b ? a : b }
    @inlinable public static func later(_ a: SequenceNumber, _ b: SequenceNumber) -> SequenceNumber { a > b ? a : b }
}

extension SequenceNumber: CustomStringConvertible {
    public var description: String { String(rawValue) }
}
