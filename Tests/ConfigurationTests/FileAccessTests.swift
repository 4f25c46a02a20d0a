import Foundation
import TestSupport
import Testing

@testable import Configuration

@Suite struct FileAccessTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @Test(arguments: [0o640, 0o604, 0o660, 0o644, 0o610]) func anExposedKeyIsRefused(mode: Int) throws {
        try folder.write("tunnel.key", "x", mode: mode)
        #expect(
            serverProblems(minimalServer, in: folder)
                == "s.yaml:4:11: 'key-file' names tunnel.key: others can read the file (mode 0\(String(mode, radix: 8))); "
                + "run: chmod 600 tunnel.key")
    }

    @Test(arguments: [0o600, 0o400]) func aKeyOfItsOwnerAloneIsTaken(mode: Int) throws {
        try folder.write("tunnel.key", publicKeyText, mode: mode)
        #expect(serverProblems(minimalServer, in: folder) == "")
        #expect(clientProblems(minimalClient + "key-file: tunnel.key\n", in: folder) == "")
    }

    @Test func anExposedPrivateKeyIsRefused() throws {
        try folder.write("server.key", "-----BEGIN PRIVATE KEY-----\n", mode: 0o644)
        #expect(
            serverProblems(minimalServer, in: folder)
                == "s.yaml:3:19: 'private-key-file' names server.key: others can read the file (mode 0644); "
                + "run: chmod 600 server.key")
    }

    @Test(arguments: ["", "abc", "AAAA", "AAAA\nAAAA", String(repeating: "A", count: 44)])
    func aBrokenKeyIsRefused(text: String) throws {
        try folder.write("tunnel.key", text, mode: 0o600)
        #expect(
            serverProblems(minimalServer, in: folder)
                == "s.yaml:4:11: 'key-file' names tunnel.key, which does not hold 32 bytes in one line of base64; "
                + "make one with 'penstock keygen --output tunnel.key'")
    }

    @Test func anExposedPasswordIsRefused() throws {
        try folder.write("password", "x", mode: 0o644)
        #expect(
            clientProblems(minimalClient + "login: { user: alice, password-file: password }\n", in: folder)
                == "c.yaml:4:38: 'login.password-file' names password: others can read the file (mode 0644); "
                + "run: chmod 600 password")
        try folder.write("password", String(repeating: "x", count: 256), mode: 0o600)
        #expect(
            clientProblems(minimalClient + "login: { user: alice, password-file: password }\n", in: folder)
                == "c.yaml:4:38: 'login.password-file' names password, whose first line has more than 255 bytes; "
                + "write the password alone into the first line")
    }

    @Test func aLoginHasBothOfItsParts() throws {
        try folder.write("password", "x", mode: 0o600)
        #expect(
            clientProblems(minimalClient + "login: { user: alice }\n", in: folder)
                == "c.yaml:4:16: 'login.user' is there, and 'login.password-file' is missing; "
                + "add 'password-file: password'")
        #expect(
            clientProblems(minimalClient + "login: { password-file: password }\n", in: folder)
                == "c.yaml:4:25: 'login.password-file' is there, and 'login.user' is missing; add 'user: alice'")
    }

    /// What is kept to see whether a file has changed does not hold what a secret one says.
    @Test func ofSecretFilesOnlyAFingerprintIsKept() throws {
        try folder.write("s.yaml", minimalServer)
        let records = { try LoadedConfiguration<ServerConfiguration>(folder("s.yaml")).settings }
        let before = try #require(try records().first { $0.key == "key-file" }?.file)
        let secret = try readFile(folder("tunnel.key"), limit: 64)
        #expect(before.contents.count == 32 && before.contents != secret)
        try folder.write("tunnel.key", publicKeyText, mode: 0o600)
        #expect(try records().first { $0.key == "key-file" }?.file != before)
    }

    @Test func theFileItself() throws {
        let load = { (name: String) in
            problems(in: folder) { () throws(ConfigurationError) in
                _ = try ClientConfiguration.load(folder(name))
            }
        }
        #expect(
            load("none.yaml") == "none.yaml: the configuration file cannot be read: there is no such file; "
                + "see 'penstock config example' for one to start from")
        #expect(
            load("ca.crt/c.yaml") == "ca.crt/c.yaml: the configuration file cannot be read: there is no such file; "
                + "see 'penstock config example' for one to start from")
        let again = "save it as UTF-8 in an editor, or name another"
        #expect(
            load(".") == ".: the configuration file cannot be read: this is not a regular file; "
                + "name a file with contents of its own")
        try Data([0x61, 0xFF]).write(to: URL(filePath: folder("latin.yaml")))
        #expect(load("latin.yaml") == "latin.yaml: the configuration file is not text in UTF-8; \(again)")
        try Data([0x61, 0x00]).write(to: URL(filePath: folder("zero.yaml")))
        #expect(load("zero.yaml") == "zero.yaml: the configuration file is not text in UTF-8; \(again)")
        try folder.write("list.yaml", "- a\n")
        #expect(
            load("list.yaml") == "list.yaml:1:1: the file is not a list of settings; write lines such as 'key: value'")
    }

    @Test func aFileHasALargestSize() throws {
        let limit = ConfigurationDocument.sizeLimit
        let load = { () throws(ConfigurationError) in _ = try ClientConfiguration.load(folder("big.yaml")) }
        let filler = { String(repeating: "#\n", count: (limit - minimalClient.utf8.count) / 2 + $0) }
        try folder.write("big.yaml", minimalClient + filler(0))
        #expect(problems(in: folder, load) == "")
        try folder.write("big.yaml", minimalClient + filler(1))
        #expect(
            problems(in: folder, load)
                == "big.yaml: the configuration file cannot be read: the file is larger than 256KiB; "
                + "name the right file, or a shorter one")
    }

    @Test func aNewSecretIsItsOwnersAlone() throws {
        try writeNewSecretFile(folder("new.key"), Array("secret".utf8))
        #expect(try folder.mode(of: "new.key") == 0o600)
        #expect(try readFile(folder("new.key"), limit: 6, for: .ownerOnly) == Array("secret".utf8))
    }

    @Test func anExistingFileOrLinkIsNotOverwritten() throws {
        #expect(throws: FileWriteError.exists) { try writeNewSecretFile(folder("ca.crt"), [1]) }
        try FileManager.default.createSymbolicLink(atPath: folder("link"), withDestinationPath: folder("elsewhere"))
        #expect(throws: FileWriteError.exists) { try writeNewSecretFile(folder("link"), [1]) }
        #expect(!FileManager.default.fileExists(atPath: folder("elsewhere")))
        #expect(throws: FileWriteError.system("No such file or directory")) {
            try writeNewSecretFile(folder("none/new.key"), [1])
        }
    }
}
