import Configuration

/// A file of either side, then behind a NUL variables `NAME=value` line by line, then behind another what each named file holds. All that
/// is wrong has a place, words and a remedy; what is good can be shown, and what is shown means the same.
///
/// The first letter says which side: `s` for the server, anything else for the client.
func fuzzConfiguration(_ bytes: UnsafeRawBufferPointer) {
    guard let side = bytes.first else { return }
    let parts = bytes.dropFirst().split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false).map(Array.init)
    let environment = EnvironmentSettings(parts.count > 1 ? variables(String(decoding: parts[1], as: UTF8.self)) : [:])
    let contents = parts.count > 2 ? parts[2] : Array("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".utf8)
    let files = FileSource(places: .any) { path, limit, _ throws(FileReadError) in
        if path == mainFile { return parts[0] }
        if contents.count > limit { throw .tooLarge(limit: limit) }
        return contents
    }
    if side == UInt8(ascii: "s") {
        read(ServerConfiguration.self, environment, files)
    } else {
        read(ClientConfiguration.self, environment, files)
    }
}

private let mainFile = "fuzz.yaml"

private func variables(_ text: String) -> [String: String] {
    var variables: [String: String] = [:]
    for line in text.split(separator: "\n") {
        let parts = line.split(separator: "=", maxSplits: 1)
        if parts.count == 2 { variables["\(parts[0])"] = "\(parts[1])" }
    }
    return variables
}

private func read<Configuration: ConfigurationFile>(
    _ type: Configuration.Type, _ environment: EnvironmentSettings, _ files: FileSource
) {
    let loaded: LoadedConfiguration<Configuration>
    do {
        loaded = try LoadedConfiguration(mainFile, environment: environment, files: files)
    } catch {
        require(!error.problems.isEmpty, "refused without a word")
        return error.problems.forEach(judge)
    }
    loaded.warnings.forEach(judge)
    let text = effectiveText(loaded.settings, file: mainFile)
    let shown = FileSource(places: .any) { path, limit, audience throws(FileReadError) in
        path == mainFile ? Array(text.utf8) : try files.read(path, limit, audience)
    }
    guard let again = try? LoadedConfiguration<Configuration>(mainFile, files: shown) else {
        fatalError("what is shown is refused:\n\(text)")
    }
    let difference = ConfigurationDifference(from: loaded.settings, to: again.settings, of: type)
    require(difference.isEmpty, "what is shown means something else: \(difference)")
}

/// One line, with a place and a remedy.
func judge(_ problem: ConfigurationProblem) {
    require(!problem.file.isEmpty && !problem.message.isEmpty && !problem.remedy.isEmpty, "\(problem)")
    let line = problem.description
    require(line.utf8.allSatisfy { $0 >= 32 && $0 != 127 }, "a control character in a message")
    // Twice a path, each byte of which may have become a sign of three.
    require(line.utf8.count < 32_768, "a message without end")
}
