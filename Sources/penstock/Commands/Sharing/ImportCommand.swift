import ArgumentParser
import Configuration

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a client's configuration files of a link from 'penstock share'.",
        discussion: "Writes client.yaml and the secrets that it names, all with mode 0600; no file is overwritten.")

    @Argument(
        help: ArgumentHelp(
            "The link, or '-' to read it from standard input; as an argument only if no secret is in it.",
            valueName: "link"))
    var argument: String?
    @OptionGroup var source: LinkSource
    @Option(help: ArgumentHelp("Where the files go; the folder must exist.", valueName: "folder")) var folder = "."

    func run() throws {
        var source = source
        if let argument { source.link = argument }
        let imported = ImportedConfiguration(link: try source.read())
        for file in imported.files {
            let path = "\(folder)/\(file.name)"
            do throws(FileWriteError) {
                try writeNewSecretFile(path, file.contents)
            } catch {
                switch error {
                case .exists:
                    printError("\(path) exists already and was not touched; move it away, or name another --folder")
                case .system(let reason): printError("\(path) cannot be written: \(reason)")
                }
                throw ExitCode.failure
            }
            print(path)
        }
        if let remark = imported.remark(in: folder) { printError(remark) }
    }
}
