import Configuration
import Sealing
import Server
import Tunnel

/// The clients of the configuration, which come in by their key alone.
struct ClientList {
    private let names: [PublicKey: String]

    init(_ clients: [ServerConfiguration.KnownClient]) {
        names = Dictionary(clients.map { ($0.key, $0.name) }, uniquingKeysWith: { first, _ in first })
    }

    /// Nil for a key that is not in the list.
    func name(of key: PublicKey) -> String? { names[key] }

    func decide(_ request: LoginRequest) -> Result<Admission, LoginRefusal> {
        guard let name = name(of: request.key) else { return .failure(.wrongCredentials) }
        return .success(Admission(user: name))
    }
}
