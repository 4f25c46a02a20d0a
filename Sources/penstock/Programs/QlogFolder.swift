import LinuxIO
import Logging
import QuicTransport

/// The folder that `--qlog` names: a file for each QUIC connection. Used by the loop's thread alone.
final class QlogFolder: @unchecked Sendable {
    /// Files that one run makes at most, and the bytes of each.
    static let maximumFiles = 1_000
    static let maximumFileSize = 256 << 20

    private let path: String
    private let side: String
    private let logger = Logger(label: "qlog")
    private var files = 0

    /// - Parameter side: client or server; both may write to one folder.
    init(_ path: String, side: String) {
        self.path = path
        self.side = side
    }

    /// A file that cannot be made is a warning, and the connection goes on without.
    func open(_ connection: String) -> (any QlogSink)? {
        guard files < Self.maximumFiles else {
            if files == Self.maximumFiles { logger.warning("no more than \(files) files are made in one run") }
            files = Self.maximumFiles + 1
            return nil
        }
        do {
            let file = try RecordFile(create: "\(path)/\(connection).\(side).sqlog", limit: Self.maximumFileSize)
            files += 1
            return QlogFile(file, logger)
        } catch {
            logger.warning("no qlog of this connection: \(error)")
            return nil
        }
    }
}

/// - Parameter folder: nil where no qlogs are wanted.
func qlogMaker(_ folder: String?, side: String) -> QlogMaker? {
    guard let folder = folder.map({ QlogFolder($0, side: side) }) else { return nil }
    return { folder.open($0) }
}

/// The qlog of one connection.
private final class QlogFile: QlogSink {
    private let file: RecordFile
    private let logger: Logger

    init(_ file: RecordFile, _ logger: Logger) {
        self.file = file
        self.logger = logger
    }

    func write(_ records: UnsafeRawBufferPointer) { file.append(records) }

    func end() {
        file.flush()
        if let failure = file.failure { logger.warning("a qlog ends early: \(failure)") }
        if file.dropped > 0 { logger.warning("\(file.dropped) records of a qlog did not fit") }
    }
}
