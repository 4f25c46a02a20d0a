import Glibc

/// What the kernel says of a file without reading it. Two that are equal are of the same version of the same file.
public struct FileStatus: Hashable, Sendable {
    public let device: UInt64
    public let inode: UInt64
    /// The owner's number.
    public let owner: UInt32
    /// Permission bits, with set-user-ID and the like.
    public let mode: UInt32
    public let isRegular: Bool
    public let isFolder: Bool
    public let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// Of the file that the path leads to now; nil when there is none, or it cannot be asked.
    public init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Of an open file; nil when it cannot be asked.
    public init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        owner = UInt32(status.st_uid)
        mode = UInt32(status.st_mode) & 0o7777
        isRegular = status.st_mode & S_IFMT == S_IFREG
        isFolder = status.st_mode & S_IFMT == S_IFDIR
        size = Int(status.st_size)
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
    }
}
