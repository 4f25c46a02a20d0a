import Foundation
import TestSupport
import Testing

@testable import Configuration

/// Where a server keeps its own data, looked at before it does.
@Suite struct StoragePlaceTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func setMode(_ mode: Int, of path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func problem(_ line: String) -> String { serverProblems(minimalServer + line + "\n", in: folder) }

    @Test func nothingIsMade() throws {
        #expect(problem("users: { database: users.db }") == "")
        #expect(problem("state-directory: state") == "")
        #expect(!FileManager.default.fileExists(atPath: folder("users.db")))
        #expect(!FileManager.default.fileExists(atPath: folder("state")))
    }

    @Test(arguments: [
        ("users: { database: none/users.db }", "5:20: 'users.database' names none/users.db: "),
        ("state-directory: none/state", "5:18: 'state-directory' names none/state: "),
    ])
    func aFolderThatIsNotThere(line: String, start: String) {
        #expect(
            problem(line)
                == "s.yaml:\(start)there is no folder none, or it cannot be read; make it: install -d -m 700 none")
    }

    @Test(arguments: [
        ("users: { database: ca.crt/users.db }", "5:20: 'users.database' names ca.crt/users.db"),
        ("state-directory: ca.crt", "5:18: 'state-directory' names ca.crt"),
    ])
    func aFileInPlaceOfTheFolder(line: String, start: String) {
        #expect(problem(line) == "s.yaml:\(start): ca.crt is no folder; name a folder")
    }

    @Test(arguments: ["users: { database: open/users.db }", "state-directory: open", "state-directory: open/state"])
    func aFolderThatOthersCanWriteTo(line: String) throws {
        try FileManager.default.createDirectory(atPath: folder("open"), withIntermediateDirectories: false)
        try setMode(0o777, of: folder("open"))
        let expected = ": others can write to the folder open (mode 0777); run: chmod go-w open"
        #expect(problem(line).hasSuffix(expected), "\(problem(line))")
        try setMode(0o1777, of: folder("open"))
        #expect(problem(line) == "", "the sticky bit keeps others from replacing files")
    }

    @Test(arguments: [("users.db", "users: { database: users.db }"), (serverSecretName, "state-directory: .")])
    func aFileThatOthersCanRead(name: String, line: String) throws {
        try folder.write(name, "x", mode: 0o640)
        #expect(problem(line).contains("others can read the file (mode 0640); run: chmod 600 "), "\(problem(line))")
        try setMode(0o600, of: folder(name))
        #expect(problem(line) == "")
    }
}
