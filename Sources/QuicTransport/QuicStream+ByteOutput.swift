import Primitives

/// A stream as a place to write to: memory at the tail of its send queue.
extension QuicStream: ByteOutput {
    public func space(minimum: Int) -> UnsafeMutableRawBufferPointer? {
        connection?.sendSpace(on: self, minimum: minimum)
    }

    public func commit(_ count: Int) { connection?.send(count, on: self) }
}
