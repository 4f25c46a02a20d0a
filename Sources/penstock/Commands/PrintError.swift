import Foundation

/// Writes a line to standard error, in one piece. A failure is not told: there is nowhere to tell it.
func printError(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data("\(text)\n".utf8))
}
