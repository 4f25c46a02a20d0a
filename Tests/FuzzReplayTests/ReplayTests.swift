import FuzzTargets
import Glibc
import Testing

/// Inputs that the fuzzers found: those that reach the most code, and those that once brought something down.
struct ReplayTests {
    @Test(arguments: FuzzTarget.allCases)
    func keptInputsStillRun(_ target: FuzzTarget) {
        let corpus = files(in: "Corpus/\(target.rawValue)")
        #expect(!corpus.isEmpty, "there is no corpus of \(target.rawValue)")
        for path in corpus + files(in: "Crashes/\(target.rawValue)") {
            let bytes = contents(path)
            bytes.withUnsafeBytes { target.run($0) }
        }
    }

    private func files(in folder: String) -> [String] {
        let parts = #filePath.split(separator: "/").dropLast(3)
        let path = "/" + parts.joined(separator: "/") + "/Fuzz/" + folder
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix("."), !name.hasSuffix(".md") { names.append(path + "/" + name) }
        }
        return names.sorted()
    }

    private func contents(_ path: String) -> [UInt8] {
        let file = open(path, O_RDONLY)
        guard file >= 0 else {
            Issue.record("\(path) cannot be read")
            return []
        }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(file, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }
}
