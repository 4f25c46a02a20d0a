import Primitives
import Server
import Tunnel

/// A request that can be read is the same when it is written and read again, and the policy has a verdict on every
/// destination: no address that is the machine's own, or special, or stands for one, is ever allowed.
func fuzzRequests(_ bytes: UnsafeRawBufferPointer) {
    guard let request = try? FlowRequest(parsing: Array(bytes)) else { return }
    let encoded = request.encode()
    require((try? FlowRequest(parsing: encoded)) == request, "a request is another one when it is read again")
    require(encoded.count <= 263, "a request is longer than any can be")
    let transport: DialTransport = request.command == .udp ? .udp : .tcp
    switch request.destination {
    case .endpoint(let endpoint):
        let verdict = policy.verdict(endpoint, DialAsker(transport))
        guard verdict.isAllowed else { return }
        require(endpoint.port != 0, "port 0 is allowed")
        require(SpecialAddress(endpoint.address) == nil, "a special address is allowed")
        require(!own.contains(endpoint.address), "an address of the machine itself is allowed")
    case .name(let name, let port):
        require(!name.text.isEmpty && name.text.utf8.count <= DomainName.maximumSize, "a name of impossible length")
        require((try? DomainName(name.text)) == name, "a name is another one when it is read again")
        let isDenied = policy.earlyVerdict(port: port, DialAsker(transport, name: name)) != nil
        require(isDenied == (port == 0 || name.text == "a.test" || name.text.hasSuffix(".a.test")), "a wrong verdict")
    }
}

private let own = PrefixSet([IPPrefix("203.0.113.0/24")!, IPPrefix("2001:db8::/64")!])

private let policy: DialPolicy = {
    var names = DialRule(.deny, name: "names")
    guard let pattern = try? DomainPattern(".a.test") else { preconditionFailure("a good pattern") }
    names.domains = [pattern]
    var ports = DialRule(.allow, name: "ports")
    ports.ports = [80...90]
    var policy = DialPolicy(deny: [IPPrefix("1.1.0.0/16")!], rules: [names, ports])
    policy.ownAddresses = own
    return policy
}()
