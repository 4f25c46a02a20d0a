import Glibc

/// The signals that the programs act on.
public enum Signals {
    public static let hangup = SIGHUP
    public static let interrupt = SIGINT
    public static let terminate = SIGTERM
    public static let user1 = SIGUSR1
    public static let user2 = SIGUSR2
}
