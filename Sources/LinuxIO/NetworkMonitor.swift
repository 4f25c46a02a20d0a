import CLinux
import Glibc
import Primitives

/// Tells that interfaces, addresses, routes or rules have changed (rtnetlink(7)), not how: whoever wants to know asks
/// `Netlink`. It belongs to the network namespace of the thread that made it.
public final class NetworkMonitor: EventHandler {
    /// Times that anything was told.
    public private(set) var changes = 0
    private let socket: Descriptor
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private let changed: () -> Void

    /// - Parameter changed: called on the loop's thread, once for all that has come by then.
    public init(_ changed: @escaping () -> Void) throws(SystemError) {
        socket = try Descriptor(clinux_netlink_monitor_open(), "watch the network's configuration")
        self.changed = changed
    }

    deinit { buffer.deallocate() }

    public var descriptor: Int32 { socket.number }

    public func ready(_ readiness: Readiness) {
        var hasChanged = false
        while true {
            let count = clinux_netlink_receive(socket.number, buffer.baseAddress, buffer.count)
            if count >= 0 {
                hasChanged = true
                continue
            }
            // More came than the socket's queue holds: that, too, is a change.
            guard count == -Int(ENOBUFS) else { break }
            hasChanged = true
        }
        guard hasChanged else { return }
        changes += 1
        changed()
    }
}
