/// Writes a `PatternHeader` and then the pattern.
struct PatternSender {
    private let header: [UInt8]
    private let place: UInt64
    /// Bytes that were taken, the header's included.
    private(set) var count: UInt64 = 0

    init(place: UInt64) {
        header = PatternHeader.encode(place)
        self.place = place
    }

    /// Offers bytes to `write`, which returns how many it takes, until it takes fewer than offered.
    /// - Parameter limit: bytes to send in all, the header's included.
    mutating func send(_ pattern: Pattern, upTo limit: UInt64 = .max, write: (UnsafeRawBufferPointer) -> Int) {
        while count < UInt64(header.count) {
            let taken = header.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[Int(count)...])) }
            count += UInt64(taken)
            if taken == 0 { return }
        }
        while count < limit {
            let slice = pattern.slice(at: place &+ count &- UInt64(header.count), limit: Int(clamping: limit - count))
            let taken = write(slice)
            count += UInt64(taken)
            if taken < slice.count { return }
        }
    }
}
