import TestSupport
import Testing

@testable import Configuration

/// The problems of a client configuration, one a line, with the folder's path taken out.
func clientProblems(_ text: String, in folder: TemporaryFolder) -> String {
    problems(in: folder) { () throws(ConfigurationError) in
        _ = try ClientConfiguration.parse(text, file: folder("c.yaml"))
    }
}

/// The problems of a server configuration, one a line, with the folder's path taken out.
func serverProblems(_ text: String, in folder: TemporaryFolder) -> String {
    problems(in: folder) { () throws(ConfigurationError) in
        _ = try ServerConfiguration.parse(text, file: folder("s.yaml"))
    }
}

/// Empty when `body` throws nothing.
func problems(in folder: TemporaryFolder, _ body: () throws(ConfigurationError) -> Void) -> String {
    do {
        try body()
        return ""
    } catch {
        #expect(!error.problems.isEmpty, "refused without a word")
        return error.description.replacing(folder.path + "/", with: "")
    }
}
