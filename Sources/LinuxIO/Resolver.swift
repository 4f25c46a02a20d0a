import CLinux
import Primitives
import Synchronization

public enum ResolveError: Error, Equatable, Sendable {
    /// The reason is the resolver's own text.
    case unknown(name: String, reason: String)
    /// `Resolver.limit` look-ups are under way.
    case busy(name: String)
}

extension ResolveError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknown(let name, let reason): "the name \(name) does not resolve: \(reason)"
        case .busy(let name):
            "the name \(name) was not looked up: \(Resolver.limit) look-ups are under way already"
        }
    }
}

/// Looks up names with getaddrinfo, each on a thread of its own, since the call blocks. For one loop.
public final class Resolver {
    public typealias Completion = (Result<[Endpoint], ResolveError>) -> Void

    /// The most look-ups at a time.
    public static let limit = 32
    /// The most addresses of one name.
    public static let maximumAddresses = 32

    private var results: Results?
    private var pending: [Int: Completion] = [:]
    private var lastID = 0

    public init() {}

    /// Look-ups under way.
    public var pendingCount: Int { pending.count }

    /// Looks up a name, or reads an address literal (brackets around IPv6 allowed).
    /// - Parameters:
    ///   - loop: where the completion runs; the same for all calls.
    ///   - completion: given the endpoints in the order to try them (RFC 6724), never empty. For a literal, and when
    ///     the look-up cannot be started, it is called before this function returns.
    public func resolve(host: String, port: UInt16, loop: EventLoop, completion: @escaping Completion) {
        if let address = Self.literal(host) { return completion(.success([Endpoint(address, port)])) }
        guard pending.count < Self.limit else { return completion(.failure(.busy(name: host))) }
        do throws(SystemError) {
            let results = try resultsQueue(on: loop)
            lastID += 1
            try Lookup(id: lastID, host: host, port: port, results: results).start()
            pending[lastID] = completion
        } catch {
            completion(.failure(.unknown(name: host, reason: error.description)))
        }
    }

    private func resultsQueue(on loop: EventLoop) throws(SystemError) -> Results {
        if let results { return results }
        let results = try Results()
        try loop.add(results.descriptor, ResultHandler(self, results))
        self.results = results
        return results
    }

    private static func literal(_ host: String) -> IPAddress? {
        if host.first == "[", host.last == "]" {
            return IPv6Address(String(host.dropFirst().dropLast())).map(IPAddress.v6)
        }
        return IPAddress(host)
    }

    fileprivate func finish(_ id: Int, _ result: Result<[Endpoint], ResolveError>) {
        pending.removeValue(forKey: id)?(result)
    }
}

/// Where the look-up threads leave their results. Completions never leave the loop's thread.
private final class Results: Sendable {
    private let wakeup: Descriptor
    private let finished = Mutex<[(id: Int, result: Result<[Endpoint], ResolveError>)]>([])

    init() throws(SystemError) { wakeup = try Descriptor(clinux_eventfd(), "eventfd") }

    var descriptor: Int32 { wakeup.number }

    func add(_ id: Int, _ result: Result<[Endpoint], ResolveError>) {
        finished.withLock { $0.append((id, result)) }
        clinux_eventfd_signal(wakeup.number)
    }

    func takeAll() -> [(id: Int, result: Result<[Endpoint], ResolveError>)] {
        clinux_eventfd_drain(wakeup.number)
        return finished.withLock { finished in
            let all = finished
            finished = []
            return all
        }
    }
}

private final class ResultHandler: EventHandler {
    private weak var resolver: Resolver?
    private let results: Results

    init(_ resolver: Resolver, _ results: Results) {
        self.resolver = resolver
        self.results = results
    }

    func ready(_ readiness: Readiness) {
        for (id, result) in results.takeAll() { resolver?.finish(id, result) }
    }
}

/// One question, carried to a thread and answered there.
private final class Lookup: Sendable {
    private let id: Int
    private let host: String
    private let port: UInt16
    private let results: Results

    init(id: Int, host: String, port: UInt16, results: Results) {
        self.id = id
        self.host = host
        self.port = port
        self.results = results
    }

    func start() throws(SystemError) {
        let context = Unmanaged.passRetained(self)
        let code = clinux_spawn(
            { context in
                let lookup = Unmanaged<Lookup>.fromOpaque(context!).takeRetainedValue()
                lookup.results.add(lookup.id, lookup.answer())
            }, context.toOpaque())
        if code != 0 { context.release() }
        try checked(code, "start a thread")
    }

    private func answer() -> Result<[Endpoint], ResolveError> {
        withUnsafeTemporaryAllocation(of: clinux_endpoint.self, capacity: Resolver.maximumAddresses) { memory in
            var text: UnsafePointer<CChar>?
            let count = clinux_resolve(host, port, memory.baseAddress, Int32(memory.count), &text)
            if count > 0 { return .success((0..<Int(count)).map { Endpoint(memory[$0]) }) }
            let reason = text.map { String(cString: $0) } ?? "no address found"
            return .failure(.unknown(name: host, reason: reason))
        }
    }
}
