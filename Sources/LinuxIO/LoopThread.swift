import CLinux
import Glibc

/// A thread for an event loop.
public struct LoopThread: Sendable {
    private final class Start {
        let name: String
        let body: () -> Void

        init(name: String, body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let thread: pthread_t

    /// Starts a thread. It takes no signals that this one has blocked.
    /// - Parameter name: up to 15 bytes, as `ps -L` and `top -H` show it.
    public init(name: String, _ body: sending @escaping () -> Void) throws(SystemError) {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        let code = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                clinux_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SystemError(code: code, operation: "start a thread")
        }
        self.thread = thread
    }

    /// Waits for its end.
    public func join() { pthread_join(thread, nil) }
}

/// Processors that this process may use.
public var processorCount: Int { Int(clinux_processor_count()) }
