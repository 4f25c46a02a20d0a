import CQRencode

/// A QR code (ISO/IEC 18004) as dark and light modules.
struct QRCode {
    /// Light modules that must surround it for a reader to find it (section 9.1).
    static let quietZone = 4

    /// Which of the two the terminal's background is: the other one is drawn.
    enum Background: String, CaseIterable, Sendable {
        case dark, light
    }

    let width: Int
    private let modules: [Bool]

    /// Nil where the text is longer than any code holds. Of the levels of correction the medium one is taken, and the low one when
    /// only that holds the text.
    init?(_ text: UnsafeRawBufferPointer) {
        let bytes = text.bindMemory(to: UInt8.self).baseAddress
        for level in [QR_ECLEVEL_M, QR_ECLEVEL_L] {
            guard let code = QRcode_encodeData(Int32(clamping: text.count), bytes, 0, level) else { continue }
            defer { QRcode_free(code) }
            let width = Int(code.pointee.width)
            self.width = width
            // The lowest bit of each is the module, the others say how it came about.
            modules = (0..<width * width).map { code.pointee.data[$0] & 1 == 1 }
            return
        }
        return nil
    }

    /// Whether a module is dark; all around the code are light.
    func isDark(_ column: Int, _ row: Int) -> Bool {
        (0..<width).contains(column) && (0..<width).contains(row) && modules[row * width + column]
    }

    /// Two rows of modules a line, by half blocks: so that modules are about square.
    func lines(on background: Background) -> [String] {
        let range = -Self.quietZone..<width + Self.quietZone
        return stride(from: range.lowerBound, to: range.upperBound, by: 2).map { row in
            String(
                range.map { column in
                    let draws = { (row: Int) in isDark(column, row) == (background == .light) }
                    // Below an odd number of rows there is one line of the zone more.
                    return switch (draws(row), draws(row + 1)) {
                    case (true, true): "█"
                    case (true, false): "▀"
                    case (false, true): "▄"
                    case (false, false): " "
                    }
                })
        }
    }
}
