import Foundation
import TestSupport
import Testing

@testable import penstock

@Suite struct ServerSecretTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @Test func theFirstStartMakesItAndTheNextOnesReadIt() throws {
        let first = try ServerSecret.load(directory: folder("state"))
        #expect(first.count == ServerSecret.byteCount)
        #expect(Set(first).count > 4, "not all alike")
        #expect(try ServerSecret.load(directory: folder("state")) == first)
        let file = try FileManager.default.attributesOfItem(atPath: folder("state/server-secret"))
        let directory = try FileManager.default.attributesOfItem(atPath: folder("state"))
        #expect(file[.posixPermissions] as? Int == 0o600)
        #expect(directory[.posixPermissions] as? Int == 0o700)
        #expect(try ServerSecret.load(directory: folder("other")) != first)
    }

    private func complaint() -> String {
        do {
            _ = try ServerSecret.load(directory: folder("state"))
            return ""
        } catch {
            return error.description
        }
    }

    @Test func aSecretThatOthersCanReadIsRefused() throws {
        _ = try ServerSecret.load(directory: folder("state"))
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: folder("state/server-secret"))
        #expect(complaint().contains("others can read the file"))
        #expect(complaint().contains("chmod 600"))
    }

    @Test(arguments: [0, 31, 33, 100_000])
    func aFileOfAnotherSizeIsRefused(size: Int) throws {
        try FileManager.default.createDirectory(atPath: folder("state"), withIntermediateDirectories: true)
        let path = folder("state/server-secret")
        #expect(
            FileManager.default.createFile(
                atPath: path, contents: Data(count: size), attributes: [.posixPermissions: 0o600]))
        #expect(complaint().contains(path))
    }

    @Test func aPlaceThatCannotBeIsTold() throws {
        #expect(FileManager.default.createFile(atPath: folder("state"), contents: Data()))
        #expect(complaint().contains("server-secret"))
        do {
            _ = try ServerSecret.load(directory: folder("no/such/place"))
            Issue.record("made somewhere")
        } catch {
            #expect(error.description.contains("state directory"))
        }
    }
}
