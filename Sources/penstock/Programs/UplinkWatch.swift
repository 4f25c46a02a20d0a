import LinuxIO
import Primitives

/// Watches by which way packets to the server leave, and tells when that changes.
final class UplinkWatch {
    /// What became of the way to the server.
    enum Change {
        /// Packets leave over another interface, from another address or by another gateway.
        case moved(NetworkRoute)
        /// There is no way to the server's address any more, but one to another of its addresses.
        case onlyElsewhere
    }

    private let mark: UInt32
    private let netlink: Netlink
    private let onChange: (Change) -> Void
    private var monitor: NetworkMonitor?
    /// The server as it is spoken to, and all of its addresses.
    private var remote: IPAddress?
    private var others: [IPAddress] = []
    private(set) var route: NetworkRoute?

    /// - Parameter mark: of the client's own packets.
    init(loop: EventLoop, mark: UInt32, onChange: @escaping (Change) -> Void) throws(SystemError) {
        self.mark = mark
        self.onChange = onChange
        netlink = try Netlink()
        let monitor = try NetworkMonitor { [unowned self] in check() }
        try loop.add(monitor.descriptor, monitor, interest: .readable)
        self.monitor = monitor
    }

    /// A connection begins: from here on, its way is watched.
    func follow(_ remote: IPAddress, others: [IPAddress]) {
        self.remote = remote
        self.others = others.filter { $0 != remote }
        route = find(remote)
    }

    /// While there is no way at all, nothing is told: the connection lives through that for its idle timeout.
    private func check() {
        guard let remote else { return }
        if let found = find(remote) {
            guard found != route else { return }
            route = found
            onChange(.moved(found))
        } else if others.contains(where: { find($0) != nil }) {
            self.remote = nil
            onChange(.onlyElsewhere)
        }
    }

    /// A question that fails is no answer: the next change asks again.
    private func find(_ address: IPAddress) -> NetworkRoute? {
        (try? netlink.route(to: address, mark: mark)) ?? nil
    }
}

extension NetworkRoute {
    /// For logs.
    var text: String {
        let from = source.map { " from \($0)" } ?? ""
        let by = gateway.map { " by \($0)" } ?? ""
        return "interface \(interface)\(from)\(by)"
    }
}
