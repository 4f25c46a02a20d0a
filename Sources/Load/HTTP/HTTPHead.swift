/// The head of a request or an answer in the form of HTTP/1.1 (RFC 9112): as much of it as the load needs.
struct HTTPHead {
    enum Progress: Equatable {
        case incomplete, complete
        /// Longer than `maximumSize`.
        case tooLong
    }

    /// Bytes of a head, its empty line included.
    static let maximumSize = 4_096
    private static let end: [UInt8] = [13, 10, 13, 10]

    private var bytes: [UInt8] = []

    /// Takes bytes off the front of `input` up to the end of the head.
    mutating func take(_ input: inout UnsafeRawBufferPointer) -> Progress {
        var used = 0
        defer { input = UnsafeRawBufferPointer(rebasing: input[used...]) }
        while used < input.count {
            guard bytes.count < Self.maximumSize else { return .tooLong }
            let byte = input[used]
            used += 1
            bytes.append(byte)
            if byte == 10, bytes.count >= 4, bytes[(bytes.count - 4)...].elementsEqual(Self.end) { return .complete }
        }
        return .incomplete
    }

    /// Makes ready for the next head, in the same memory.
    mutating func clear() { bytes.removeAll(keepingCapacity: true) }

    // MARK: - What a whole head says

    /// Nil when there is no such status.
    var status: Int? { firstLineWord(1).flatMap { decimal($0) } }

    /// What a target of the form `/SIZE` or `/SIZE/PLACE` asks for; nil for every other.
    var wantedAnswer: (size: UInt64, place: UInt64)? {
        guard let target = firstLineWord(1), target.first == slash else { return nil }
        let numbers = target.dropFirst()
        guard let middle = numbers.firstIndex(of: slash) else { return decimal(numbers).map { (UInt64($0), 0) } }
        guard let size = decimal(numbers[..<middle]), let place = decimal(numbers[(middle + 1)...]) else { return nil }
        return (UInt64(size), UInt64(place))
    }

    /// 0 when there is none; nil when it is no number.
    var contentLength: Int? {
        guard let value = field("content-length") else { return 0 }
        return decimal(value)
    }

    var closes: Bool { field("connection").map { Self.equal($0, "close") } ?? false }

    private var slash: UInt8 { 47 }

    private func firstLineWord(_ index: Int) -> ArraySlice<UInt8>? {
        let line = bytes.prefix { $0 != 13 }
        var word = 0
        var start = line.startIndex
        while let space = line[start...].firstIndex(of: 32) {
            if word == index { return line[start..<space] }
            word += 1
            start = space + 1
        }
        return word == index ? line[start...] : nil
    }

    /// The value of a field, whose name is given in lower case.
    private func field(_ name: StaticString) -> ArraySlice<UInt8>? {
        var start = bytes.startIndex
        while let end = bytes[start...].firstIndex(of: 10) {
            let line = bytes[start..<end]
            start = end + 1
            guard let colon = line.firstIndex(of: 58), Self.equal(line[..<colon], name) else { continue }
            return line[(colon + 1)...].drop { $0 == 32 }.prefix { $0 != 13 && $0 != 32 }
        }
        return nil
    }

    private static func equal(_ text: ArraySlice<UInt8>, _ other: StaticString) -> Bool {
        let expected = UnsafeBufferPointer(start: other.utf8Start, count: other.utf8CodeUnitCount)
        guard text.count == expected.count else { return false }
        return zip(text, expected).allSatisfy { ((65...90).contains($0) ? $0 + 32 : $0) == $1 }
    }

    /// Fifteen digits at most, so that no sum of two overflows.
    private func decimal(_ digits: ArraySlice<UInt8>) -> Int? {
        guard (1...15).contains(digits.count), digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }
}

extension [UInt8] {
    mutating func append(text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a number in decimal digits, without making a string of it.
    mutating func append(decimal number: UInt64) {
        let start = count
        var rest = number
        repeat {
            append(48 + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }
}
