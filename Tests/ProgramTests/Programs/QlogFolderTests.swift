import Foundation
import TestSupport
import Testing

@testable import penstock

@Suite struct QlogFolderTests {
    /// As many files as may be, and one more, for which the connection goes on without.
    @Test func filesAreLimited() throws {
        let folder = try TemporaryFolder()
        let logs = QlogFolder(folder("."), side: "server")
        for number in 0..<QlogFolder.maximumFiles { #expect(logs.open("\(number)") != nil) }
        #expect(logs.open("one more") == nil && logs.open("and another") == nil)
        let files = try FileManager.default.contentsOfDirectory(atPath: folder(".")).filter { $0.hasSuffix(".sqlog") }
        #expect(files.count == QlogFolder.maximumFiles && files.contains("0.server.sqlog"), "\(files.count)")
    }

    @Test func aFileThatCannotBeMadeIsNone() throws {
        let folder = try TemporaryFolder()
        let logs = QlogFolder(folder("missing"), side: "client")
        #expect(logs.open("0") == nil)
    }
}
