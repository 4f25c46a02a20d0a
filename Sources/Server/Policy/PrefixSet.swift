import Primitives

/// A set of addresses, compiled once from prefixes: sorted ranges, those that overlap or touch made one. A question is a
/// binary search and allocates nothing.
public struct PrefixSet: Equatable, Sendable {
    private struct Block<Number: FixedWidthInteger & UnsignedInteger & Sendable>: Equatable, Sendable {
        var first: Number
        var last: Number
    }

    private let v4: [Block<UInt32>]
    private let v6: [Block<UInt128>]

    public init(_ prefixes: some Sequence<IPPrefix> = []) {
        var v4: [Block<UInt32>] = []
        var v6: [Block<UInt128>] = []
        for prefix in prefixes {
            switch prefix.address {
            case .v4(let address): v4.append(Self.block(address.value, prefix.length))
            case .v6(let address): v6.append(Self.block(address.number, prefix.length))
            }
        }
        self.v4 = Self.joined(v4)
        self.v6 = Self.joined(v6)
    }

    public var isEmpty: Bool { v4.isEmpty && v6.isEmpty }

    public func contains(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let address): Self.contains(address.value, v4)
        case .v6(let address): Self.contains(address.number, v6)
        }
    }

    private static func block<Number>(_ first: Number, _ length: Int) -> Block<Number> {
        // A smart shift: by the whole width it gives zero.
        Block(first: first, last: first | (Number.max >> length))
    }

    private static func joined<Number>(_ blocks: [Block<Number>]) -> [Block<Number>] {
        var result: [Block<Number>] = []
        for block in blocks.sorted(by: { $0.first < $1.first }) {
            guard let last = result.last, last.last == .max || block.first <= last.last + 1 else {
                result.append(block)
                continue
            }
            result[result.count - 1].last = max(last.last, block.last)
        }
        return result
    }

    private static func contains<Number>(_ number: Number, _ blocks: [Block<Number>]) -> Bool {
        var low = 0
        var high = blocks.count
        while low < high {
            let middle = (low + high) / 2
            if number < blocks[middle].first {
                high = middle
            } else if number > blocks[middle].last {
                low = middle + 1
            } else {
                return true
            }
        }
        return false
    }
}

extension IPv6Address {
    /// All 128 bits.
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }
}
