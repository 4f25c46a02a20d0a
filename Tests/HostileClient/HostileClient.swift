import Glibc

/// A client that attacks a running `penstock server` in one way, and says what the server did; for Tests/Namespace alone, and
/// no part of what is shipped.
@main
enum HostileClient {
    private enum ExitCode {
        static let refused: Int32 = 0
        static let accepted: Int32 = 1
        static let trouble: Int32 = 2
        static let usage: Int32 = 64
    }

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments == ["--list"] {
            for attack in Attack.all { print(attack.name, attack.counter.rawValue) }
            return
        }
        do {
            exit(run(try Options(arguments)))
        } catch {
            say("hostile-client: \(error.text)\n\(Options.usage)", to: STDERR_FILENO)
            exit(ExitCode.usage)
        }
    }

    private static func run(_ options: Options) -> Int32 {
        let name = options.attack.name
        do throws(Failure) {
            let scene = Scene(options)
            defer { scene.network.closeAll() }
            let answer = try options.attack.run(scene)
            say("refused \(name) lines=\(scene.lines) datagrams=\(scene.datagrams): \(answer)", to: STDOUT_FILENO)
            return ExitCode.refused
        } catch {
            switch error {
            case .accepted(let what):
                say("accepted \(name): \(what)", to: STDOUT_FILENO)
                return ExitCode.accepted
            case .trouble(let what):
                say("trouble \(name): \(what)", to: STDOUT_FILENO)
                return ExitCode.trouble
            }
        }
    }

    private static func say(_ text: String, to descriptor: Int32) {
        var bytes = Array((text + "\n").utf8)
        _ = write(descriptor, &bytes, bytes.count)
    }
}
