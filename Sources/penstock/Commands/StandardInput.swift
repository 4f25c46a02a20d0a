import Foundation
import Sealing

/// What comes on standard input, up to its end or to a limit in bytes. It may be a secret: nothing else keeps a copy of it.
/// - Parameter end: a byte that ends it, too, and is not part of it.
func readStandardInput(limit: Int, until end: UInt8? = nil) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    var filled = 0
    reading: while filled < limit {
        // Byte by byte where the rest of the input is not ours.
        let wanted = end == nil ? limit - filled : 1
        let count = bytes.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress! + filled, wanted) }
        if count < 0 && errno == EINTR { continue }
        if count <= 0 || bytes[filled] == end { break reading }
        filled += count
    }
    bytes.removeLast(limit - filled)
    return bytes
}
