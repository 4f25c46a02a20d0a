import ArgumentParser
import Foundation

/// Where a link comes from, for the commands that take one.
///
/// A link may hold a secret, and arguments are no place for one: everybody sees them in `ps`, and the shell keeps them in its
/// history. Overwriting one's own arguments comes too late for both. So as an argument only a link without a secret is taken.
struct LinkSource: ParsableArguments {
    /// Holds a link. Only the same user and root can see a process's environment.
    static let variable = "PENSTOCK_LINK"

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
        do {
            let read = try AccessLink(text())
            if read.hasSecret, let link, link != "-" {
                printError(
                    "this link holds a secret, and arguments are seen by others (ps, the shell's history); pass it by "
                        + "--link -, --link-file or \(Self.variable), and have a new one made")
                throw ExitCode.validationFailure
            }
            return read
        } catch let code as ExitCode {
            throw code
        } catch {
            printError("\(error)")
            throw .badConfiguration
        }
    }

    private func text() throws -> String {
        if let link, link != "-" { return link }
        if link != nil {
            let text = FileHandle.standardInput.readData(ofLength: 4 * AccessLink.maximumLength)
            return String(decoding: text, as: UTF8.self)
        }
        if let linkFile {
            do throws(FileReadError) {
                return String(
                    decoding: try readFile(linkFile, limit: 4 * AccessLink.maximumLength, for: .ownerOnly),
                    as: UTF8.self)
            } catch {
                let remedy = if case .exposed = error { "; run: chmod 600 \(linkFile)" } else { "" }
                printError("\(linkFile): \(error)\(remedy)")
                throw ExitCode.failure
            }
        }
        guard let variableText else {
            printError("there is no link; give --link -, --link-file FILE, or set \(Self.variable)")
            throw ExitCode.validationFailure
        }
        return variableText
    }
}
