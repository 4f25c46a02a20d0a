import Foundation
import LinuxIO
import Logging
import Synchronization

/// Writes one line for each log entry to standard error.
///
/// On a terminal or in a file: `2026-01-31T12:00:00.123Z info client: connected server=192.0.2.2:4433`.
/// Under journald, which stamps lines itself: `<6>client: connected server=192.0.2.2:4433` (sd-daemon(3)).
struct StandardErrorLogHandler: LogHandler {
    /// Who keeps the time and the level of an entry.
    enum Style: Sendable {
        case stamped
        case journald
    }

    let component: String
    let style: Style
    /// Of this handler alone, where somebody has set one.
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]

    init(component: String, style: Style, logLevel: Logger.Level? = nil) {
        self.component = component
        self.style = style
        ownLevel = logLevel
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? currentLogLevel }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { _, entry in entry }
        printError(line(event.level, "\(event.message)", fields, at: Date()))
    }

    /// The line without its line feed.
    func line(_ level: Logger.Level, _ message: String, _ fields: Logger.Metadata, at date: Date) -> String {
        let head =
            switch style {
            case .stamped: "\(timestamp(date)) \(level.rawValue) "
            case .journald: "<\(priority(of: level))>"
            }
        let tail = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\(quoted("\($0.value)"))" }.joined()
        return head + component + ": " + oneLine(message) + tail
    }

    private func timestamp(_ date: Date) -> String {
        date.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }

    /// syslog(3).
    private func priority(of level: Logger.Level) -> Int {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }

    /// In quotes where a space, a quote or an equals sign would make the end of the value unclear.
    private func quoted(_ value: String) -> String {
        let value = oneLine(value)
        guard value.isEmpty || value.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) else { return value }
        return "\"" + value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// Peers and files can put anything into a message: control characters do not reach the terminal.
    private func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 32 || (127...159).contains($0.value) }) else {
            return text
        }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 32 || (127...159).contains($0.value) ? "\u{FFFD}" : $0 }))
    }
}

/// Sends all loggers of the program to standard error; called once, before the first logger is made.
func startLogging(level: Logger.Level) {
    let style: StandardErrorLogHandler.Style = standardErrorIsJournal() ? .journald : .stamped
    setLogLevel(level)
    LoggingSystem.bootstrap { label in StandardErrorLogHandler(component: label, style: style) }
}

/// The level of all loggers, by its place among the levels: any thread may read and change it.
private let sharedLevel = Atomic<Int>(Logger.Level.allCases.firstIndex(of: .info) ?? 0)

private var currentLogLevel: Logger.Level { Logger.Level.allCases[sharedLevel.load(ordering: .relaxed)] }

/// Changes the level of every logger, those that exist included.
func setLogLevel(_ level: Logger.Level) {
    sharedLevel.store(Logger.Level.allCases.firstIndex(of: level) ?? 0, ordering: .relaxed)
}

/// Whether the journal reads our standard error: `JOURNAL_STREAM` names its device and inode (systemd.exec(5)).
private func standardErrorIsJournal() -> Bool {
    guard let stream = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] else { return false }
    guard let status = FileStatus(descriptor: FileHandle.standardError.fileDescriptor) else { return false }
    return stream == "\(status.device):\(status.inode)"
}
