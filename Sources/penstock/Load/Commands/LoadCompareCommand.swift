import ArgumentParser
import Load

struct LoadCompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compare two results: ratios of what was measured.",
        discussion: "Prints how many times the first each figure of the second is, and in what else the runs differ.")

    @Argument(help: "A result that 'load run --json' wrote.") var first: String
    @Argument(help: "Another one.") var second: String

    func run() throws {
        do throws(ResultFileError) {
            print(Comparison(try ResultFile.read(first), try ResultFile.read(second)).text, terminator: "")
        } catch {
            printError(error.description)
            throw ExitCode.badConfiguration
        }
    }
}
