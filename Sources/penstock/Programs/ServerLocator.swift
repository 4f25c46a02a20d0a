import Configuration
import LinuxIO
import Primitives

/// Finds the server: looks up its name and hands out its addresses one after the other.
///
/// While the tunnel's routes are up, questions to a name server may fall into the tunnel, which is down whenever they are
/// asked here. So the addresses of the last look-up that worked are kept, and tried where a new one fails.
final class ServerLocator {
    private let server: HostAndPort
    private let loop: EventLoop
    private let resolver = Resolver()
    /// Addresses that were not tried yet.
    private var candidates: [Endpoint] = []
    private var known: [Endpoint] = []
    /// Counts the look-ups: the answer to one that was given up is not used.
    private var lookup = 0

    init(server: HostAndPort, loop: EventLoop) {
        self.server = server
        self.loop = loop
    }

    /// Nothing more is to be tried after the address that was handed out last.
    var isExhausted: Bool { candidates.isEmpty }

    /// All addresses that the server is known to have.
    var addresses: [IPAddress] { known.map(\.address) }

    /// The next address to try; may look up the name first.
    func next(_ completion: @escaping (Result<Endpoint, ResolveError>) -> Void) {
        if !candidates.isEmpty { return completion(.success(candidates.removeFirst())) }
        lookup += 1
        let current = lookup
        resolver.resolve(host: server.host.description, port: server.port, loop: loop) { [weak self] result in
            guard let self, lookup == current else { return }
            switch result {
            case .success(let endpoints): known = endpoints
            case .failure(let error): if known.isEmpty { return completion(.failure(error)) }
            }
            candidates = known
            completion(.success(candidates.removeFirst()))
        }
    }

    /// Gives up a look-up that is under way.
    func cancel() { lookup += 1 }

    /// The address was good: the next connection asks for the name again, and starts with the first of its addresses.
    func connected() { candidates = [] }
}
