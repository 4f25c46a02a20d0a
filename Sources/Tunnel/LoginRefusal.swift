/// Why a client is not let in. The server tells it sealed, after it has proved its own key.
public enum LoginRefusal: Error, Hashable, Sendable {
    /// The key is unknown, or the user, or the password is wrong: they all look the same.
    case wrongCredentials
    case expired
    case disabled
    /// As many sessions as the user may have are open.
    case tooManySessions
    case quotaSpent
    /// Not now: come again after so many seconds.
    case tryLater(seconds: UInt32)
    /// A reason of a later version, with its number.
    case unknown(UInt8)

    private enum Code {
        static let wrongCredentials: UInt8 = 1
        static let expired: UInt8 = 2
        static let disabled: UInt8 = 3
        static let tooManySessions: UInt8 = 4
        static let quotaSpent: UInt8 = 5
        static let tryLater: UInt8 = 6
    }

    /// The number on the wire.
    var code: UInt8 {
        switch self {
        case .wrongCredentials: Code.wrongCredentials
        case .expired: Code.expired
        case .disabled: Code.disabled
        case .tooManySessions: Code.tooManySessions
        case .quotaSpent: Code.quotaSpent
        case .tryLater: Code.tryLater
        case .unknown(let code): code
        }
    }

    /// Seconds to wait; 0 where the reason does not say.
    var seconds: UInt32 {
        if case .tryLater(let seconds) = self { seconds } else { 0 }
    }

    init(code: UInt8, seconds: UInt32) {
        switch code {
        case Code.wrongCredentials: self = .wrongCredentials
        case Code.expired: self = .expired
        case Code.disabled: self = .disabled
        case Code.tooManySessions: self = .tooManySessions
        case Code.quotaSpent: self = .quotaSpent
        case Code.tryLater: self = .tryLater(seconds: seconds)
        default: self = .unknown(code)
        }
    }

    /// One word for logs that programs read.
    public var name: String {
        switch self {
        case .wrongCredentials: "wrong-credentials"
        case .expired: "expired"
        case .disabled: "disabled"
        case .tooManySessions: "too-many-sessions"
        case .quotaSpent: "quota-spent"
        case .tryLater: "try-later"
        case .unknown(let code): "reason-\(code)"
        }
    }
}

extension LoginRefusal: CustomStringConvertible {
    /// What went wrong, and what to do about it.
    public var description: String {
        switch self {
        case .wrongCredentials:
            "the server does not know this client: wrong key, user name or password; compare with what the server's "
                + "administrator gave out"
        case .expired: "the account has expired; ask the server's administrator to extend it"
        case .disabled: "the account is disabled; ask the server's administrator"
        case .tooManySessions: "too many sessions of this user are open; end another one"
        case .quotaSpent: "the user's quota is spent; wait for the next month, or ask the server's administrator"
        case .tryLater(let seconds): "the server asks to try again in \(seconds) s"
        case .unknown(let code): "the server refused the login, for reason \(code) of a later version"
        }
    }
}
