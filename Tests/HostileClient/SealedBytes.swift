import Primitives
import QuicTransport

/// A place for sealed bytes that keeps them in hand, to be recorded and changed before they are sent.
final class SealedBytes: ByteOutput {
    private static let size = 64 << 10
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    private var used = 0

    deinit { memory.deallocate() }

    func space(minimum: Int) -> UnsafeMutableRawBufferPointer? {
        guard memory.count - used >= minimum else { return nil }
        return UnsafeMutableRawBufferPointer(rebasing: memory[used...])
    }

    func commit(_ count: Int) { used += count }

    var bytes: [UInt8] { Array(memory[..<used]) }
}

extension QuicStream {
    /// Queues bytes as they are. False when there is no memory for all of them.
    @discardableResult
    func append(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let space = space(minimum: 1) else { return false }
            let count = min(space.count, rest.count)
            UnsafeMutableRawBufferPointer(rebasing: space[..<count]).copyBytes(from: rest.prefix(count))
            commit(count)
            rest = rest.dropFirst(count)
        }
        return true
    }
}

extension [UInt8] {
    /// With these bits of one byte changed: the lowest, unless it says otherwise.
    func changed(at index: Int, _ bits: UInt8 = 1) -> [UInt8] {
        var bytes = self
        bytes[index] ^= bits
        return bytes
    }
}
