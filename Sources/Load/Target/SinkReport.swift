/// What a sink says when the sender has finished: how many bytes came, and how many of them were wrong.
struct SinkReport: Equatable {
    /// Two numbers of eight bytes in network byte order.
    static let byteCount = 16

    var count: UInt64
    var wrong: UInt64

    func encode() -> [UInt8] { PatternHeader.encode(count) + PatternHeader.encode(wrong) }

    /// Puts a report together from what comes in.
    struct Reader {
        private var count = PatternNumber()
        private var wrong = PatternNumber()
        private var countValue: UInt64?
        private(set) var report: SinkReport?

        /// False when there are more bytes than a report has.
        mutating func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
            var rest = bytes
            if countValue == nil { countValue = count.take(&rest) }
            if let countValue, report == nil, let wrong = wrong.take(&rest) {
                report = SinkReport(count: countValue, wrong: wrong)
            }
            return rest.isEmpty
        }
    }
}
