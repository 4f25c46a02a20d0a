/// Where bytes can be written in place: the caller asks for contiguous memory, fills its start, and says how much.
public protocol ByteOutput {
    /// At least `minimum` contiguous bytes, or nil when there is no memory left.
    func space(minimum: Int) -> UnsafeMutableRawBufferPointer?
    /// The first `count` bytes of the last space are written.
    func commit(_ count: Int)
}
