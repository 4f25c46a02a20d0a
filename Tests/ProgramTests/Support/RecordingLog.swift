import Logging
import Synchronization

@testable import penstock

/// Keeps the lines that a logger would write, without their times.
final class RecordingLog: Sendable {
    private let all = Mutex<[String]>([])

    /// `LEVEL COMPONENT: MESSAGE FIELD=VALUE …`
    var lines: [String] { all.withLock { $0 } }

    func logger(_ component: String) -> Logger { Logger(label: component) { Handler(component: $0, log: self) } }

    private struct Handler: LogHandler {
        let component: String
        let log: RecordingLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(component: String, log: RecordingLog) {
            self.component = component
            self.log = log
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = metadata.merging(event.metadata ?? [:]) { _, entry in entry }
            let text = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
            log.all.withLock { $0.append("\(event.level) \(component): \(event.message)\(text)") }
        }
    }
}
