/// One way to misbehave, and what the server is to count.
struct Attack {
    /// A number of the server's line of statistics, which grows by one with the attack.
    enum Counter: String {
        case authenticationFailures = "authentication_failures"
        case sealingFailures = "sealing_failures"
        case unsealable = "datagrams_unsealable"
        case replayed = "datagrams_replayed"
        case withoutAssociation = "datagrams_without_association"
        /// Broken rules of the control stream end the connection and have no number.
        case nothing = "-"
    }

    let name: String
    let counter: Counter
    /// Attacks, and has an honest flow go on beside it. Returns what the server did.
    let run: (Scene) throws(Failure) -> String

    init(_ name: String, _ counter: Counter, run: @escaping (Scene) throws(Failure) -> String) {
        self.name = name
        self.counter = counter
        self.run = run
    }

    static var all: [Attack] { handshakes + logins + flows + datagrams }
}
