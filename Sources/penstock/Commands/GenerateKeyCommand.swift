import ArgumentParser
import Foundation

struct GenerateKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genkey",
        abstract: "Make the key that client and server share: 32 random bytes in base64.")

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Write to a new file with mode 0600 instead of standard output.", valueName: "file"))
    var output: String?

    func run() throws {
        let line = generateKeyLine()
        guard let output else { return print(line) }
        do {
            try writeNewSecretFile(output, Array("\(line)\n".utf8))
        } catch .exists {
            printError("\(output) exists already and was not touched; name another file or remove it first")
            throw ExitCode.failure
        } catch .system(let reason) {
            printError("\(output) cannot be written: \(reason)")
            throw ExitCode.failure
        }
    }
}

/// Base64 of 32 bytes of the system's random source.
func generateKeyLine() -> String {
    var random = SystemRandomNumberGenerator()
    return Data((0..<SharedKey.byteCount).map { _ in UInt8.random(in: .min ... .max, using: &random) })
        .base64EncodedString()
}
