import Glibc
import Primitives
import Sealing

/// What hostile-client was asked for.
struct Options {
    static let usage = """
        usage: hostile-client OPTION... ATTACK
               hostile-client --list

        Attacks a server of Penstock, and prints one line. Exit codes: 0 refused as it should be, 1 not refused, 2 anything
        else that went wrong. --list prints each attack with the number of the server's statistics that it makes grow by one.

          --server ADDRESS:PORT       of the server
          --server-name NAME          in its certificate
          --ca FILE                   the authority of the certificate
          --server-key KEY            the server's public key
          --key-file FILE             a private key that the server lets in
          --destination ADDRESS:PORT  which sends back what it gets, by TCP and by UDP
          --cipher NAME               aes-256-gcm or chacha20-poly1305; the faster one without
        """

    struct Problem: Error {
        let text: String
    }

    let server: Endpoint
    let serverName: String
    let authority: [UInt8]
    let serverKey: PublicKey
    let keyPair: KeyPair
    let destination: Endpoint
    let cipher: Cipher
    let attack: Attack

    init(_ arguments: [String]) throws(Problem) {
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let key = rest.first, key.hasPrefix("--") {
            guard rest.count > 1 else { throw Problem(text: "\(key) needs a value") }
            values[String(key.dropFirst(2))] = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        }
        guard rest.count == 1, let name = rest.first else { throw Problem(text: "one attack is wanted") }
        guard let attack = Attack.all.first(where: { $0.name == name }) else {
            throw Problem(text: "unknown attack \(name); --list names them")
        }
        self.attack = attack

        func take(_ key: String) throws(Problem) -> String {
            guard let value = values.removeValue(forKey: key) else { throw Problem(text: "--\(key) is missing") }
            return value
        }
        func endpoint(_ key: String) throws(Problem) -> Endpoint {
            let text = try take(key)
            guard let endpoint = Endpoint(text) else {
                throw Problem(text: "--\(key) needs ADDRESS:PORT, found '\(text)'")
            }
            return endpoint
        }

        server = try endpoint("server")
        destination = try endpoint("destination")
        serverName = try take("server-name")
        authority = try readFile(try take("ca"))
        let keyFile = try take("key-file")
        let keyText = String(decoding: try readFile(keyFile), as: UTF8.self)
        let serverKeyText = try take("server-key")
        do throws(KeyTextError) {
            serverKey = try PublicKey(base64: serverKeyText)
            keyPair = try KeyPair(privateKeyBase64: keyText.filter { !$0.isWhitespace })
        } catch {
            throw Problem(text: "--server-key, or the key in \(keyFile): \(error)")
        }
        if let text = values.removeValue(forKey: "cipher") {
            guard let cipher = Cipher(rawValue: text) else { throw Problem(text: "unknown cipher \(text)") }
            self.cipher = cipher
        } else {
            cipher = .fastest
        }
        if let unknown = values.keys.min() { throw Problem(text: "unknown option --\(unknown)") }
    }
}

private func readFile(_ path: String) throws(Options.Problem) -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw Options.Problem(text: "cannot open \(path)") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4_096)
    while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
    return bytes
}
