import ArgumentParser

/// Stands in for the server until it is wired.
struct ServerProgram {
    init(_ configuration: ServerConfiguration) {}

    func run() throws {
        printError("this build has no server")
        throw ExitCode.failure
    }
}
