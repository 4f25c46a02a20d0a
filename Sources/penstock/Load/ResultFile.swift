import Configuration
import Foundation
import Load

/// Why a file is no result that can be read.
struct ResultFileError: Error, Hashable, CustomStringConvertible {
    let description: String
}

/// Results as files of JSON.
enum ResultFile {
    static let sizeLimit = 64 << 20

    static func encode(_ result: LoadResult) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(result)
    }

    static func read(_ path: String) throws(ResultFileError) -> LoadResult {
        let contents: [UInt8]
        do {
            contents = try readFile(path, limit: sizeLimit)
        } catch {
            throw ResultFileError(description: "\(path) cannot be read: \(error)")
        }
        return try decode(Data(contents), name: path)
    }

    /// - Parameter name: stands in the messages.
    static func decode(_ data: Data, name: String) throws(ResultFileError) -> LoadResult {
        /// What every version begins with.
        struct Head: Decodable {
            var format: String
            var version: Int
        }
        guard let head = try? JSONDecoder().decode(Head.self, from: data), head.format == LoadResult.formatName else {
            throw ResultFileError(
                description: "\(name) is no result of penstock load; make one with 'penstock load run --json FILE'")
        }
        guard head.version == LoadResult.currentVersion else {
            throw ResultFileError(
                description: "\(name) has version \(head.version) of the results, and this program reads version "
                    + "\(LoadResult.currentVersion); use the penstock that made it")
        }
        do {
            return try JSONDecoder().decode(LoadResult.self, from: data)
        } catch {
            throw ResultFileError(description: "\(name) is damaged: \(reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case DecodingError.keyNotFound(let key, let context):
            return "'\(key.stringValue)' is missing in '\(path(context))'"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.dataCorrupted(let context):
            return "'\(path(context))' does not have the right form"
        default: return "\(error)"
        }
    }
}

/// Writes a whole file, in place of one that may be there.
func writeResult(_ data: Data, to path: String) throws {
    do {
        try data.write(to: URL(filePath: path), options: .atomic)
    } catch {
        throw RunError("\(path) cannot be written: \(error.localizedDescription)")
    }
}
