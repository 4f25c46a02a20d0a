/// Why there is no TUN device, in words for whoever started the program.
public enum TunError: Error, Equatable, Sendable {
    /// /dev/net/tun does not exist or answers that there is no driver.
    case noDriver
    case notPermitted
    case nameInUse(String)
    case badName(String)
    case system(SystemError)
}

extension TunError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noDriver:
            "there is no /dev/net/tun: load the driver with `modprobe tun`, or, in a container, pass the device in "
                + "(--device /dev/net/tun)"
        case .notPermitted:
            "making a TUN device is not permitted: run it as root or give it the capability CAP_NET_ADMIN"
        case .nameInUse(let name):
            "the interface name \(name) is in use: another instance may be running; choose another name"
        case .badName(let name):
            "\"\(name)\" is not an interface name: 1 to 15 characters without spaces and slashes"
        case .system(let error): error.description
        }
    }
}
