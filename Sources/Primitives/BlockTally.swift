/// How much memory several queues hold together, such as all those of one user. For one thread, like the pool.
public final class BlockTally {
    /// Blocks in use.
    @exclusivity(unchecked) public internal(set) var blocks = 0

    public init() {}

    /// Bytes of these blocks, whatever part of them is payload.
    public var bytes: Int { blocks * BlockPool.blockSize }
}
