import ArgumentParser
import Configuration
import Foundation
import Sealing

/// Where a link comes from, for the commands that take one.
///
/// A link may hold a secret, and arguments are no place for one: everybody sees them in `ps`, and the shell keeps them in its
/// history. Overwriting one's own arguments comes too late for both. So as an argument only a link without a secret is taken.
struct LinkSource: ParsableArguments {
    /// Holds a link. Only the same user and root can see a process's environment.
    static let variable = EnvironmentSettings.linkVariable

    @Option(
        help: ArgumentHelp(
            "A link from 'penstock share': '-' reads it from standard input; as an argument only if no secret is in it.",
            valueName: "link"))
    var link: String?

    @Option(help: ArgumentHelp("A file with such a link, mode 0600.", valueName: "file")) var linkFile: String?

    private var variableText: String? { ProcessInfo.processInfo.environment[Self.variable] }

    /// Whether there is one anywhere.
    var isGiven: Bool { link != nil || linkFile != nil || variableText != nil }

    func validate() throws {
        if link != nil && linkFile != nil { throw ValidationError("Give --link or --link-file, not both.") }
    }

    /// Reads the link; tells what is wrong and ends the program with its exit code.
    func read() throws(ExitCode) -> AccessLink {
        var text = try text()
        defer { SecretBytes.wipe(&text) }
        let read: AccessLink
        do {
            read = try AccessLink(text)
        } catch {
            printError("\(error)")
            throw .badConfiguration
        }
        if read.hasSecret, let link, link != "-" {
            printError(
                "this link holds a secret, and arguments are seen by others (ps, the shell's history); pass it by "
                    + "--link -, --link-file or \(Self.variable), and have a new one made")
            throw .validationFailure
        }
        return read
    }

    /// Arguments and variables are the system's memory: what stands there cannot be overwritten for good.
    private func text() throws(ExitCode) -> [UInt8] {
        if let link, link != "-" { return Array(link.utf8) }
        if link != nil {
            return readStandardInput(limit: AccessLink.maximumInput)
        }
        if let linkFile {
            do {
                return try readFile(linkFile, limit: AccessLink.maximumInput, for: .ownerOnly)
            } catch {
                printError("\(linkFile): \(error); \(error.remedy(path: linkFile))")
                throw .failure
            }
        }
        guard let variableText else {
            printError("there is no link; give --link -, --link-file FILE, or set \(Self.variable)")
            throw .validationFailure
        }
        return Array(variableText.utf8)
    }
}
