import CLinux
import Glibc

/// A new file that records are appended to, through a buffer and up to a limit. Whatever happens to the disk, what is in the
/// file is whole records; who writes is not told, but may ask.
public final class RecordFile {
    /// Bytes that wait for a system call.
    static let bufferSize = 64 << 10

    /// What ended the writing before its time: the disk is full, for one. Nothing is written after it.
    public private(set) var failure: SystemError?
    /// Records that did not fit under the limit, or came after a failure.
    public private(set) var dropped = 0

    private let file: Descriptor
    private let path: String
    private let limit: Int
    private var buffer: [UInt8] = []
    private var written = 0

    /// - Parameters:
    ///   - path: must not exist; its owner alone can read the file.
    ///   - limit: bytes of the file at most.
    public convenience init(create path: String, limit: Int) throws(SystemError) {
        try self.init(path, flags: O_CREAT | O_EXCL | O_NOFOLLOW, limit: limit)
    }

    init(_ path: String, flags: Int32, limit: Int) throws(SystemError) {
        let number = open(path, O_WRONLY | O_CLOEXEC | flags, 0o600)
        file = try Descriptor(number >= 0 ? number : -errno, "create \(path)")
        self.path = path
        self.limit = limit
        buffer.reserveCapacity(Self.bufferSize)
    }

    deinit { flush() }

    /// One record, or several whole ones.
    public func append(_ record: UnsafeRawBufferPointer) {
        guard failure == nil, record.count <= limit - written - buffer.count else {
            dropped += 1
            return
        }
        if buffer.count + record.count > Self.bufferSize { flush() }
        buffer.append(contentsOf: record)
    }

    public func flush() {
        guard failure == nil, !buffer.isEmpty else { return }
        defer { buffer.removeAll(keepingCapacity: true) }
        var offset = 0
        while offset < buffer.count {
            let count = buffer[offset...].withUnsafeBytes { write(file.number, $0.baseAddress, $0.count) }
            if count >= 0 {
                offset += count
                continue
            }
            if errno == EINTR { continue }
            failure = SystemError(code: errno, operation: "write \(path)")
            // Half a record would make the file unreadable.
            _ = ftruncate(file.number, off_t(written))
            return
        }
        written += offset
    }
}
