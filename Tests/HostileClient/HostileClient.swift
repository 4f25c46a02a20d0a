import Glibc

/// A client that attacks a running `penstock server` in one way and says what the server did, or a server that plays tricks on a
/// running `penstock client`; for Tests/Namespace alone, and no part of what is shipped.
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
        do throws(Arguments.Problem) {
            switch arguments.first {
            case "--list":
                for attack in Attack.all { say("\(attack.name) \(attack.counter.rawValue)") }
            case "--list-tricks":
                for (index, trick) in Trick.all.enumerated() {
                    say("\(trick.name) \(trick.place.rawValue) \(Trick.firstPort + index) \(trick.counter.rawValue)")
                }
            case "serve":
                let options = try ServeOptions(arguments.dropFirst())
                exit(serve { (_) throws(Failure) in try HostileServer(options) })
            case "relay":
                let options = try MiddleOptions(arguments.dropFirst())
                exit(serve { (network) throws(Failure) in try ManInTheMiddle(options, network: network) })
            default:
                exit(run(try AttackOptions(arguments)))
            }
        } catch {
            say("hostile-client: \(error.text)\n\(Options.usage)", to: STDERR_FILENO)
            exit(ExitCode.usage)
        }
    }

    private static func run(_ options: AttackOptions) -> Int32 {
        let name = options.attack.name
        do throws(Failure) {
            let scene = Scene(options)
            defer { scene.network.closeAll() }
            let answer = try options.attack.run(scene)
            say("refused \(name) lines=\(scene.lines) datagrams=\(scene.datagrams): \(answer)")
            return ExitCode.refused
        } catch {
            switch error {
            case .accepted(let what):
                say("accepted \(name): \(what)")
                return ExitCode.accepted
            case .trouble(let what):
                say("trouble \(name): \(what)")
                return ExitCode.trouble
            }
        }
    }

    private static func serve(_ make: (Network) throws(Failure) -> any Party) -> Int32 {
        do throws(Failure) {
            let network = Network()
            network.add(try make(network))
            say("ready")
            network.run()
        } catch {
            say("trouble serve: \(error)")
            return ExitCode.trouble
        }
    }

    private static func say(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
        var bytes = Array((text + "\n").utf8)
        _ = write(descriptor, &bytes, bytes.count)
    }
}
