/// Why an attack did not end with the refusal that docs/PROTOCOL.md demands.
enum Failure: Error {
    /// The server took what it must refuse, or refused it in another way.
    case accepted(String)
    /// What should have worked did not, so that nothing is known of the attack.
    case trouble(String)
}
