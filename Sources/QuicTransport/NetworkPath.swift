import CNgtcp2
import Primitives

/// A pair of addresses in the form that ngtcp2 wants, at a fixed place in memory.
///
/// The last conversion is kept, since nearly every packet takes the path of the packet before.
final class NetworkPath {
    let storage: UnsafeMutablePointer<ngtcp2_path_storage>
    private(set) var local: Endpoint
    private(set) var remote: Endpoint

    init(local: Endpoint, remote: Endpoint) {
        storage = .allocate(capacity: 1)
        storage.initialize(to: ngtcp2_path_storage())
        self.local = local
        self.remote = remote
        cngtcp2_path_set(storage, local.native, remote.native)
    }

    deinit { storage.deallocate() }

    var pointer: UnsafeMutablePointer<ngtcp2_path> {
        UnsafeMutableRawPointer(storage).assumingMemoryBound(to: ngtcp2_path.self)
    }

    func set(local: Endpoint, remote: Endpoint) {
        guard local != self.local || remote != self.remote else { return }
        self.local = local
        self.remote = remote
        cngtcp2_path_set(storage, local.native, remote.native)
    }

    /// Takes over the addresses of a path of ngtcp2.
    func set(_ path: UnsafePointer<ngtcp2_path>) {
        guard path.pointee.remote.addrlen > 0, ngtcp2_path_eq(path, pointer) == 0 else { return }
        var local = cngtcp2_endpoint()
        var remote = cngtcp2_endpoint()
        cngtcp2_path_get(path, &local, &remote)
        set(local: Endpoint(local), remote: Endpoint(remote))
    }
}

extension Endpoint {
    init(_ native: cngtcp2_endpoint) {
        let address: IPAddress =
            native.family == 4
            ? .v4(IPv4Address(UInt32(truncatingIfNeeded: native.low)))
            : .v6(IPv6Address(high: native.high, low: native.low))
        self.init(address, native.port)
    }

    var native: cngtcp2_endpoint {
        switch address {
        case .v4(let a): cngtcp2_endpoint(high: 0, low: UInt64(a.value), port: port, family: 4)
        case .v6(let a): cngtcp2_endpoint(high: a.high, low: a.low, port: port, family: 6)
        }
    }
}
