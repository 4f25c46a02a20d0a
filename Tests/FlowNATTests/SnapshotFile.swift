import Foundation
import Testing

/// A text in the folder Snapshots that shows a change of behaviour in review.
enum SnapshotFile {
    /// To accept a change, run with `UPDATE_SNAPSHOTS=1` in the environment and review the difference.
    static func expect(_ actual: String, isRecordedIn name: String, sourceLocation: SourceLocation = #_sourceLocation)
        throws
    {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Snapshots/\(name)")
        if ProcessInfo.processInfo.environment["UPDATE_SNAPSHOTS"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
            return
        }
        let recorded = try String(contentsOf: file, encoding: .utf8)
        let difference = actual.components(separatedBy: "\n").difference(from: recorded.components(separatedBy: "\n"))
        let changes = difference.map { change in
            switch change {
            case .remove(let offset, let line, _): "-\(offset + 1): \(line)"
            case .insert(let offset, let line, _): "+\(offset + 1): \(line)"
            }
        }
        #expect(changes.isEmpty, "\(changes.joined(separator: "\n"))", sourceLocation: sourceLocation)
    }
}
