import LinuxIO

/// A descriptor's handler that calls a closure: for descriptors of which there are few.
final class Handler: EventHandler {
    private let body: (Readiness) -> Void

    init(_ body: @escaping (Readiness) -> Void) { self.body = body }

    func ready(_ readiness: Readiness) { body(readiness) }
}
