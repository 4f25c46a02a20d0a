import CLinux

/// Random numbers of the kernel (getrandom), fit for keys, fetched in blocks. For one thread.
///
/// Copies share one block, so that no two of them ever give the same bytes.
public struct SystemRandom: RandomNumberGenerator {
    private final class Block {
        static let size = 512
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        var used = size

        func take() -> UInt64 {
            if used == Self.size {
                clinux_random(bytes, Self.size)
                used = 0
            }
            defer { used += 8 }
            let value = bytes.load(fromByteOffset: used, as: UInt64.self)
            // What was handed out may become a key: it does not stay here.
            bytes.storeBytes(of: 0, toByteOffset: used, as: UInt64.self)
            return value
        }

        deinit { bytes.deallocate() }
    }

    private let block = Block()

    public init() {}

    public mutating func next() -> UInt64 { block.take() }
}
