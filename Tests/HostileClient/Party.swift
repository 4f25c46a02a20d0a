import Primitives

/// Whoever has a socket and a deadline, and is moved on by a `Network`.
protocol Party: AnyObject {
    var descriptor: Int32 { get }
    var nextDeadline: Instant? { get }
    /// Takes what has come, and does what is due.
    func read()
    func flush()
    func close()
}
