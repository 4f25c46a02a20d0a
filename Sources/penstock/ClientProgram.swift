import ArgumentParser

/// Stands in for the client until it is wired.
struct ClientProgram {
    init(_ configuration: ClientConfiguration) {}

    func run() throws {
        printError("this build has no client")
        throw ExitCode.failure
    }
}
