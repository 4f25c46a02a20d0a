import Glibc

/// FlowNAT between a real TUN device and itself, for the tests against the kernel's TCP and UDP; no part of what is shipped.
@main
enum FlowTUN {
    static func main() {
        let options: Options
        do {
            options = try Options(Array(CommandLine.arguments.dropFirst()))
        } catch {
            fail("flowtun: \(error.text)\n\(Options.usage)", code: 64)
        }
        do {
            try Program(options).run()
        } catch {
            fail("flowtun: \(error)", code: 1)
        }
    }

    private static func fail(_ text: String, code: Int32) -> Never {
        var bytes = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, &bytes, bytes.count)
        exit(code)
    }
}
