import FlowNAT
import Packets
import Primitives

/// What is known of the associations from outside: written as plainly as can be, to be compared with.
struct AssociationModel {
    typealias Datagram = (remote: Endpoint, payload: [UInt8])

    private struct Entry {
        let id: AssociationID
        var lastSent: Instant
        /// Grows with every use of any association.
        var turn: Int
        var isNameLookup: Bool
        var mtu: Int
        /// What waits, the oldest first.
        var queue: [Datagram] = []
    }

    /// The fragments of one datagram so far, which come in order.
    private struct Partial {
        let identification: UInt32
        let source: IPAddress
        let destination: IPAddress
        var bytes: [UInt8]
    }

    private let applications: [Endpoint]
    private let settings: FlowSettings
    private var entries: [Entry?]
    private var turn = 0
    private var partials: [Partial] = []

    init(applications: [Endpoint], settings: FlowSettings) {
        self.applications = applications
        self.settings = settings
        entries = Array(repeating: nil, count: applications.count)
    }

    var count: Int { entries.count { $0 != nil } }
    var isDrained: Bool { entries.allSatisfy { $0?.queue.isEmpty ?? true } }

    func id(_ which: Int) -> AssociationID? { entries[which]?.id }
    func mtu(_ which: Int) -> Int { entries[which]?.mtu ?? settings.mtu }

    /// A fragment does not say which of a host's endpoints it is for.
    func largestMTU(of address: IPAddress) -> Int {
        entries.indices.filter { applications[$0].address == address }.map { mtu($0) }.max() ?? settings.mtu
    }

    // MARK: Life

    /// Who has to make room when this application sends: its host's quietest, or the quietest of all.
    func victim(for which: Int) -> AssociationID? {
        guard entries[which] == nil else { return nil }
        let all = entries.indices.filter { entries[$0] != nil }
        let own = all.filter { applications[$0].address == applications[which].address }
        let candidates: [Int]
        if own.count >= settings.maximumAssociationsPerSource {
            candidates = own
        } else if all.count >= settings.maximumAssociations {
            candidates = all
        } else {
            return nil
        }
        return candidates.min { entries[$0]!.turn < entries[$1]!.turn }.flatMap { entries[$0]!.id }
    }

    mutating func use(_ which: Int, _ id: AssociationID, to destination: Endpoint, now: Instant) {
        turn += 1
        let isNameLookup = destination.port == 53
        guard let known = entries[which] else {
            require(entries.allSatisfy { $0?.id != id }, "one name for two associations")
            entries[which] = Entry(
                id: id, lastSent: now, turn: turn, isNameLookup: isNameLookup, mtu: settings.mtu)
            return
        }
        require(known.id == id, "an association got another name")
        entries[which]!.lastSent = now
        entries[which]!.turn = turn
        if !isNameLookup { entries[which]!.isNameLookup = false }
    }

    mutating func end(_ id: AssociationID) {
        for which in entries.indices where entries[which]?.id == id { entries[which] = nil }
    }

    private func deadline(_ entry: Entry) -> Instant {
        entry.lastSent + (entry.isNameLookup ? settings.nameLookupTimeout : settings.associationTimeout)
    }

    var nextDeadline: Instant? { entries.compactMap { $0.map { deadline($0) } }.min() }

    /// Those whose time is over.
    func due(_ now: Instant) -> [AssociationID] {
        entries.compactMap { entry in entry.flatMap { deadline($0) <= now ? $0.id : nil } }
    }

    mutating func lowerMTU(_ which: Int, to mtu: Int?) {
        guard let known = entries[which], let mtu else { return }
        require(mtu < known.mtu, "the path MTU was raised")
        entries[which]!.mtu = mtu
    }

    // MARK: Datagrams for the application

    mutating func queue(_ which: Int, _ datagram: Datagram) { entries[which]!.queue.append(datagram) }

    /// The oldest gave way.
    mutating func drop(_ which: Int, _ count: Int) {
        guard count > 0 else { return }
        require(count <= entries[which]!.queue.count, "more was dropped than waited")
        entries[which]!.queue.removeFirst(count)
    }

    /// Whether this is the one whose turn it is; it is then gone.
    mutating func leave(_ which: Int, _ remote: Endpoint, _ payload: ArraySlice<UInt8>) -> Bool {
        guard let first = entries[which]?.queue.first, first.remote == remote, first.payload[...] == payload else {
            return false
        }
        entries[which]!.queue.removeFirst()
        return true
    }

    /// Puts fragments together. Returns the whole with its last one.
    mutating func join(_ ip: IPHeader, _ bytes: [UInt8]) -> [UInt8]? {
        require(!ip.moreFragments || bytes.count % 8 == 0, "a fragment of odd size")
        let index = partials.firstIndex {
            $0.identification == ip.identification && $0.source == ip.source && $0.destination == ip.destination
        }
        var partial =
            index.map { partials.remove(at: $0) }
            ?? Partial(
                identification: ip.identification, source: ip.source, destination: ip.destination, bytes: [])
        require(ip.fragmentOffset == partial.bytes.count, "a fragment out of its turn")
        partial.bytes += bytes
        guard ip.moreFragments else { return partial.bytes }
        partials.append(partial)
        return nil
    }
}
