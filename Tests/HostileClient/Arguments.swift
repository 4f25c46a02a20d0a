import Glibc
import Primitives
import Sealing

/// Options with their values, as they stand on the command line, and what is behind them.
struct Arguments {
    struct Problem: Error {
        let text: String
    }

    /// What is no option.
    private var rest: [String]
    private var values: [String: String] = [:]

    init(_ arguments: some Collection<String>) throws(Problem) {
        var rest = Array(arguments)[...]
        while let key = rest.first, key.hasPrefix("--") {
            guard rest.count > 1 else { throw Problem(text: "\(key) needs a value") }
            values[String(key.dropFirst(2))] = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        }
        self.rest = Array(rest)
    }

    mutating func takeLast() -> String? { rest.popLast() }

    mutating func takeIfThere(_ key: String) -> String? { values.removeValue(forKey: key) }

    mutating func take(_ key: String) throws(Problem) -> String {
        guard let value = takeIfThere(key) else { throw Problem(text: "--\(key) is missing") }
        return value
    }

    mutating func endpoint(_ key: String) throws(Problem) -> Endpoint {
        let text = try take(key)
        guard let endpoint = Endpoint(text) else {
            throw Problem(text: "--\(key) needs ADDRESS:PORT, found '\(text)'")
        }
        return endpoint
    }

    /// The contents of the file that the option names.
    mutating func file(_ key: String) throws(Problem) -> [UInt8] {
        let path = try take(key)
        guard let file = fopen(path, "rb") else { throw Problem(text: "--\(key): cannot open \(path)") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4_096)
        while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
        return bytes
    }

    /// A private key of the tunnel, as `penstock keygen` writes it.
    mutating func keyPair(_ key: String) throws(Problem) -> KeyPair {
        let text = try file(key)
        do throws(KeyTextError) {
            return try KeyPair(privateKeyBase64: text.filter { $0 > UInt8(ascii: " ") })
        } catch {
            throw Problem(text: "--\(key): \(error)")
        }
    }

    /// After all that is known was taken.
    func expectNoMore() throws(Problem) {
        if let unknown = values.keys.min() { throw Problem(text: "unknown option --\(unknown)") }
        if let unexpected = rest.first { throw Problem(text: "unexpected: \(unexpected)") }
    }
}
