import Foundation
import Primitives
import Testing

@testable import Sealing

/// The same bytes as another implementation: Tests/Vectors/penstock.py, which was written from docs/PROTOCOL.md. The kept
/// cases of Tests/Vectors/vectors.json are the test vectors of that document; others are made anew with each run, at
/// both ends.
@Suite struct ProtocolVectorTests {
    static let script = ProtocolCase.folder.appending(path: "penstock.py")

    static func keptCases() throws -> [ProtocolCase] {
        try ProtocolCase.read(Data(contentsOf: ProtocolCase.folder.appending(path: "vectors.json")))
    }

    @Test func keptCasesAreMadeAlike() throws {
        let cases = try Self.keptCases()
        #expect(cases.map(\.suite) == Cipher.allCases)
        for kept in cases { try expectTheSame(kept) }
    }

    @Test func keptCasesOpen() throws {
        for kept in try Self.keptCases() { try expectToOpen(kept) }
    }

    @Test func thePythonProgramStillMakesThem() throws {
        let made = try Self.run("make", "1")
        #expect(made == (try Data(contentsOf: ProtocolCase.folder.appending(path: "vectors.json"))))
    }

    /// What Python seals opens here, and is what would be sealed here.
    @Test func pythonSealsAndSwiftOpens() throws {
        let seed = "\(UInt64.random(in: 0 ... .max))"
        for made in try ProtocolCase.read(Self.run("make", seed)) {
            try expectTheSame(made, "seed \(seed)")
            try expectToOpen(made, "seed \(seed)")
        }
    }

    /// What is sealed here opens in Python.
    @Test func swiftSealsAndPythonOpens() throws {
        var random = SystemRandomNumberGenerator()
        func bytes(_ count: Int) -> String {
            hex((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        let cases = try Cipher.allCases.map { cipher in
            let sections = [
                ProtocolCase.Section(epoch: 0, salt: bytes(32), chunks: [bytes(7), bytes(300)]),
                ProtocolCase.Section(epoch: 1, salt: bytes(32), chunks: [bytes(16_383), bytes(1)]),
            ]
            return try ProtocolCase(
                cipher: cipher.rawValue, exporter: bytes(32), clientPrivate: bytes(32), serverPrivate: bytes(32),
                clientEphemeral: bytes(32), serverEphemeral: bytes(32),
                rekey: .init(clientEphemeral: bytes(32), serverEphemeral: bytes(32)),
                streams: [
                    .init(direction: "up", stream: 0, sections: [sections[0]]),
                    .init(direction: "down", stream: 4 * .random(in: 0...1 << 40, using: &random), sections: sections),
                ],
                datagrams: (0..<10).map { number in
                    .init(
                        direction: number % 2 == 0 ? "up" : "down",
                        stream: 4 * .random(in: 0...1 << 30, using: &random),
                        epoch: UInt64(number % 2), counter: .random(in: 0..<1 << 62, using: &random),
                        clear: bytes(number * 100))
                }
            ).madeHere()
        }
        let file = FileManager.default.temporaryDirectory.appending(path: "penstock-\(UUID().uuidString).json")
        try ProtocolCase.write(cases).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let said = try Self.run("check", file.path)
        #expect(String(decoding: said, as: UTF8.self) == "2 cases open and are made alike\n")
    }

    /// The other implementation is no worse: it agrees with the published vectors, too.
    @Test func pythonAgreesWithPublishedVectors() throws {
        let file = ProtocolCase.folder.deletingLastPathComponent().appending(path: "SealingTests/Vectors/noise-ik.json")
        #expect(String(decoding: try Self.run("noise", file.path), as: UTF8.self) == "4 vectors hold\n")
    }

    @Test func documentHasTheVectors() throws {
        let root = ProtocolCase.folder.deletingLastPathComponent().deletingLastPathComponent()
        let document = try String(contentsOf: root.appending(path: "docs/PROTOCOL.md"), encoding: .utf8)
            .filter { !$0.isWhitespace }
        let kept = try Self.keptCases()[0]
        let vectors =
            [
                kept.exporter, kept.clientPrivate, kept.serverPrivate, kept.clientEphemeral, kept.serverEphemeral,
                kept.controlUp, kept.controlDown, kept.sessionSecret, kept.rekey.message1, kept.rekey.message2,
                kept.rekey.sessionSecret,
            ] + kept.streams.prefix(2).map(\.sealed) + kept.datagrams.prefix(2).map(\.sealed)
        for vector in vectors { #expect(document.contains(vector), "\(vector)") }
    }

    // MARK: -

    private func expectTheSame(_ given: ProtocolCase, _ comment: Comment? = nil) throws {
        let made = try given.madeHere()
        #expect(made.controlUp == given.controlUp && made.controlDown == given.controlDown, comment)
        #expect(made.sessionSecret == given.sessionSecret, comment)
        #expect(made.rekey.message1 == given.rekey.message1, comment)
        #expect(made.rekey.message2 == given.rekey.message2, comment)
        #expect(made.rekey.sessionSecret == given.rekey.sessionSecret, comment)
        #expect(made.datagrams.map(\.sealed) == given.datagrams.map(\.sealed), comment)
        for (mine, theirs) in zip(made.streams, given.streams) { #expect(mine.sealed == theirs.sealed, comment) }
    }

    private func expectToOpen(_ given: ProtocolCase, _ comment: Comment? = nil) throws {
        var copy = given
        let keys = try copy.exchange()
        let pool = BlockPool(byteLimit: 1 << 20)
        for stream in given.streams {
            var queue = BlockQueue(pool: pool)
            let opener = ChunkOpener(
                keys: keys, direction: Direction(rawValue: stream.direction)!, stream: stream.stream)
            try opener.open(hex(stream.sealed), into: &queue)
            let chunks = stream.sections.flatMap(\.chunks)
            #expect(opener.takeFirstChunk() == hex(chunks[0]), comment)
            let data = hex(queue.drain())
            #expect(data == chunks.dropFirst().joined(), comment)
            #expect(opener.isBetweenChunks, comment)
        }
        for datagram in given.datagrams {
            let opener = DatagramOpener(
                keys: keys, direction: Direction(rawValue: datagram.direction)!, stream: datagram.stream,
                startingAt: datagram.counter)
            #expect(opener.open(hex(datagram.sealed)) == .success(hex(datagram.clear)), comment)
        }
    }

    /// What the Python program prints; it is Debian's Python, for which scripts/install-deps installs the package.
    private static func run(_ arguments: String...) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [script.path] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "Tests/Vectors/penstock.py \(arguments.joined(separator: " "))")
        return data
    }
}
