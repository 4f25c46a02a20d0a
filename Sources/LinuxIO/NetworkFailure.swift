import Glibc

/// What an errno of a failed dial says about the way to the destination.
public enum NetworkFailure: Sendable {
    case refused, networkUnreachable, hostUnreachable, timedOut, notAllowed, outOfResources, other

    public init(errno code: Int32) {
        self =
            switch code {
            case ECONNREFUSED: .refused
            case ENETUNREACH, ENETDOWN, EAFNOSUPPORT: .networkUnreachable
            case EHOSTUNREACH, EHOSTDOWN: .hostUnreachable
            case ETIMEDOUT: .timedOut
            case EACCES, EPERM: .notAllowed
            case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL: .outOfResources
            default: .other
            }
    }
}
