import Glibc
import Primitives
import Testing

@testable import LinuxIO

@Suite struct PrivilegeTests {
    @Test func whatIsNotPermittedNamesTheCapability() throws {
        let errors = try inNamespace {
            let netlink = try Netlink()
            try ThreadPrivileges.dropCapabilities()
            var errors: [String] = []
            func attempt(_ body: () throws -> Void) {
                do { try body() } catch { errors.append("\(error)") }
            }
            attempt { _ = try TunDevice(name: "pst0") }
            attempt { try netlink.setUp(1) }
            attempt { try netlink.addRule(.ipv4, priority: 5, mark: 1, table: 77) }
            attempt { _ = try UDPSocket(bind: Endpoint(loopback4, 0), mark: 1) }
            attempt { _ = try TCPSocket.dial(Endpoint(loopback4, 80), mark: 1) }
            attempt { _ = try UDPSocket(bind: Endpoint(loopback4, 443)) }
            return errors
        }
        guard let errors else { return }
        let advice = "; run it as root or give it the capability CAP_NET_ADMIN"
        #expect(
            errors == [
                "making a TUN device is not permitted: run it as root or give it the capability CAP_NET_ADMIN",
                "bring interface 1 up: Operation not permitted" + advice,
                "add the rule with priority 5 for table 77: Operation not permitted" + advice,
                "set the mark 1 on a socket: Operation not permitted" + advice,
                "set the mark 1 on a socket: Operation not permitted" + advice,
                "bind 127.0.0.1:443: Permission denied; run it as root or give it the capability CAP_NET_BIND_SERVICE",
            ])
    }

    @Test func withoutRightsTheBuffersAreWhatTheSystemAllows() throws {
        let granted = try inNamespace {
            try ThreadPrivileges.dropCapabilities()
            return try UDPSocket(bind: Endpoint(loopback4, 0)).receiveBuffer
        }
        if let granted { #expect((4096...UDPSocket.bufferSize).contains(granted)) }
    }
}
