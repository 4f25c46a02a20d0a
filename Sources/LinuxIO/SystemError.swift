import CLinux
import Glibc

/// A system call that failed: which, on what, and why.
public struct SystemError: Error, Equatable, Sendable {
    /// What a process must hold to be allowed what it tried (capabilities(7)).
    public enum Capability: String, Sendable {
        case networkAdministration = "CAP_NET_ADMIN"
        case lowPorts = "CAP_NET_BIND_SERVICE"
        case rawSockets = "CAP_NET_RAW"
    }

    /// The errno, positive.
    public let code: Int32
    /// What was tried, with its object: `bind 0.0.0.0:4433`.
    public let operation: String
    /// The kernel's own explanation, where it gives one.
    public let detail: String?
    /// Named in the description when the code is EPERM or EACCES and the kernel gives no other reason.
    public let needs: Capability?

    /// A datagram was larger than the way carries (EMSGSIZE).
    public var isTooLarge: Bool { code == EMSGSIZE }
    /// The way was closed to this process (EPERM), for want of a capability or by a firewall.
    public var isNotPermitted: Bool { code == EPERM }

    public init(code: Int32, operation: String, detail: String? = nil, needs: Capability? = nil) {
        self.code = code
        self.operation = operation
        self.detail = detail
        self.needs = needs
    }
}

extension SystemError: CustomStringConvertible {
    public var description: String {
        var text = "\(operation): \(systemErrorText(code))"
        if let detail { text += " (\(detail))" }
        // Where the kernel gives another reason, that is the one.
        if let needs, detail == nil, code == EPERM || code == EACCES {
            text += "; run it as root or give it the capability \(needs.rawValue)"
        }
        if code == EADDRINUSE {
            text += "; `ss -ulpn` shows the program that has it; stop that, or choose another port"
        }
        return text
    }
}

/// The English text of an errno.
public func systemErrorText(_ code: Int32) -> String {
    clinux_error_text(code).map { String(cString: $0) } ?? "error \(code)"
}

/// Turns the negative errno of a CLinux function into an error.
@discardableResult
func checked(
    _ result: Int32, needs: SystemError.Capability? = nil, _ operation: @autoclosure () -> String
) throws(SystemError) -> Int32 {
    if result < 0 { throw SystemError(code: -result, operation: operation(), needs: needs) }
    return result
}
