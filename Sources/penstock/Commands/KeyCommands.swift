import ArgumentParser
import Configuration
import LinuxIO
import Sealing

/// `penstock keygen`: a key for a server or a client.
struct GenerateKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Make a private key (X25519) in a new file of mode 0600, and print its public key.",
        discussion: """
            A server's public key goes into its clients' configurations ('server-key'), a client's into the server's
            ('clients'). The private key stays where it is.
            """)

    @Option(
        name: [.short, .long], help: ArgumentHelp("The file for the private key; it must not exist.", valueName: "file")
    )
    var output: String

    func run() throws {
        var random = SystemRandom()
        let pair = KeyPair.generate(using: &random)
        let line = SecretBytes(joining: [pair.privateKeyBase64, SecretBytes(copying: "\n".utf8)])
        do {
            try writeNewSecretFile(output, line)
        } catch .exists {
            printError("\(output) exists already and was not touched; name another file or remove it first")
            throw ExitCode.failure
        } catch .system(let reason) {
            printError("\(output) cannot be written: \(reason)")
            throw ExitCode.failure
        }
        print(pair.publicKey)
    }
}

/// `penstock pubkey`: the public key of a private one, once more.
struct PublicKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pubkey", abstract: "Print the public key of a private key that 'penstock keygen' has made.")

    @Argument(help: "The file of the private key.") var file: String

    func run() throws {
        do {
            var contents = try readFile(file, limit: 4_096, for: .ownerOnly)
            defer { SecretBytes.wipe(&contents) }
            print(try KeyPair(privateKeyBase64: contents).publicKey)
        } catch {
            printError("\(file) cannot be used: \(error)")
            throw ExitCode.failure
        }
    }
}
