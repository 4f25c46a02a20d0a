import Primitives

/// How many flows each application host has: one entry per source address that has a flow besides those in TIME-WAIT,
/// so there are never more entries than flows, and none is allocated once the table has had its largest size.
struct SourceTable: ~Copyable {
    /// Flows of one source address; those in TIME-WAIT do not count, since their places are free for the asking.
    struct Usage: Equatable {
        var flows = 0
        /// Those whose dial or handshake is not over.
        var halfOpen = 0

        /// The host has answered a SYN-ACK, so its address is not made up (in the sense of RFC 4987, section 3).
        var isProven: Bool { flows > halfOpen }
    }

    private struct Source {
        var address: IPAddress
        var usage: Usage
    }

    private let hash: FlowHash
    private var index = HashIndex()
    private var sources: [Source] = []
    private var free: [UInt32] = []

    init(hash: FlowHash) { self.hash = hash }

    /// Addresses that have flows.
    var count: Int { index.count }

    /// Bytes of memory taken.
    var byteCount: Int { index.byteCount + sources.count * MemoryLayout<Source>.stride }

    func usage(of address: IPAddress) -> Usage {
        guard let found = find(address) else { return Usage() }
        return sources[Int(found)].usage
    }

    private func find(_ address: IPAddress) -> UInt32? {
        index.find(hash.hash(address)) { sources[Int($0)].address == address }
    }

    /// A half-open flow begins. Returns what names the source while the flow lives.
    mutating func open(_ address: IPAddress) -> UInt32 {
        let source = find(address) ?? add(address)
        sources[Int(source)].usage.flows += 1
        sources[Int(source)].usage.halfOpen += 1
        return source
    }

    private mutating func add(_ address: IPAddress) -> UInt32 {
        let entry = Source(address: address, usage: Usage())
        let source: UInt32
        if let reused = free.popLast() {
            sources[Int(reused)] = entry
            source = reused
        } else {
            source = UInt32(sources.count)
            sources.append(entry)
        }
        index.insert(hash.hash(address), source)
        return source
    }

    /// A half-open flow of the source is established.
    mutating func establish(_ source: UInt32) { sources[Int(source)].usage.halfOpen -= 1 }

    /// A flow of the source has ended or entered TIME-WAIT.
    mutating func close(_ source: UInt32, wasHalfOpen: Bool) {
        sources[Int(source)].usage.flows -= 1
        if wasHalfOpen { sources[Int(source)].usage.halfOpen -= 1 }
        guard sources[Int(source)].usage.flows == 0 else { return }
        index.remove(hash.hash(sources[Int(source)].address), source)
        free.append(source)
    }
}
