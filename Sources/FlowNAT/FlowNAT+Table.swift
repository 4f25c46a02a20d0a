import Packets
import Primitives

/// Who gets a place in the table, and who loses one.
///
/// A SYN is asked for four things in this order: may its host have another flow and another half-open one; is there room
/// among the half-open; is there room in the table. Room among the half-open is made by forgetting the oldest, once it
/// has had its time (`halfOpenPatience`): a flood from made-up addresses then costs everybody the same chance instead of
/// all, and hosts that have an established flow have a quarter for themselves. Room in the table is made at the cost of
/// TIME-WAIT, then of the flow that was silent longest; a flow that is in use is never cut.
extension FlowNAT {
    /// Whether a host may have another half-open flow; makes room for it.
    mutating func admits(_ source: IPAddress, now: Instant) -> Bool {
        let usage = sources.usage(of: source)
        guard usage.flows < settings.flowsPerSource else {
            counters.sourceFull += 1
            return false
        }
        guard usage.halfOpen < settings.halfOpenPerSource else {
            counters.sourceHalfOpenFull += 1
            return false
        }
        let limit = usage.isProven ? settings.maximumHalfOpen : settings.unprovenHalfOpen
        guard lists.count(of: .halfOpen) < limit || recycleOldestHalfOpen(now: now) else {
            counters.halfOpenFull += 1
            return false
        }
        return true
    }

    /// Forgets the oldest half-open flow if it has had its time. The application hears nothing: should it be real, its SYN
    /// comes again; a RST would end its attempt, or hit a host whose address was made up.
    private mutating func recycleOldestHalfOpen(now: Instant) -> Bool {
        guard let slot = lists.first(of: .halfOpen), let flow = flows.find(slot: slot),
            flow.pointee.life.created + settings.halfOpenPatience <= now
        else { return false }
        counters.halfOpenRecycled += 1
        events.append(.reset(flow.pointee.id))
        forget(flow)
        return true
    }

    /// Whether the table has a place for another flow; makes one if it can.
    mutating func makeRoom(now: Instant) -> Bool {
        if flows.count < settings.maximumFlows || recycleOldestWaiting() || evictIdle(now: now) { return true }
        counters.tableFull += 1
        return false
    }

    private mutating func recycleOldestWaiting() -> Bool {
        guard let slot = lists.first(of: .waiting), let flow = flows.find(slot: slot) else { return false }
        counters.timeWaitRecycled += 1
        forget(flow)
        return true
    }

    /// Cuts the flow that was silent longest, if it is idle.
    private mutating func evictIdle(now: Instant) -> Bool {
        var candidate = lists.first(of: .active)
        for _ in 0..<Self.evictionSearch {
            guard let slot = candidate, let flow = flows.find(slot: slot),
                flow.pointee.life.lastHeard + settings.evictionIdleTime <= now
            else { return false }
            if flow.pointee.isQuiet {
                counters.evicted += 1
                sendReset(flow)
                events.append(.reset(flow.pointee.id))
                forget(flow)
                return true
            }
            candidate = lists.next(after: slot)
        }
        return false
    }

    /// Flows that are looked at for one to cut. Silent ones with something in flight are in their retransmissions, and
    /// gone soon.
    private static let evictionSearch = 16

    // MARK: - Beginning and end

    /// Begins a flow for which there is room.
    /// - Parameter last: where the last flow between the same ends stopped sending, while that is remembered.
    mutating func open(_ tcp: TCPHeader, _ addresses: FlowAddresses, after last: SequenceNumber?, now: Instant) {
        var number = sequence.number(for: addresses, now: now)
        // RFC 1122, section 4.2.2.13: a fast flow outruns the clock of RFC 6528, and its old segments must not fit.
        if let last { number = SequenceNumber.later(number, last + Self.reuseDistance) }
        let flow = flows.insert(addresses) { id in
            TCPFlow(
                id: id, addresses: addresses, syn: tcp, initialSend: number,
                timestampOffset: sequence.timestampOffset(for: addresses), pool: pool, records: records,
                settings: rules, now: now)
        }
        flow.pointee.life.created = now
        flow.pointee.life.lastHeard = now
        flow.pointee.life.source = sources.open(addresses.source.address)
        lists.move(flow.pointee.id.slot, to: .halfOpen)
        counters.opened += 1
        events.append(.connect(flow.pointee.id, addresses))
        schedule(flow)
    }

    /// How far a new flow begins above the last one between the same ends: one unscaled window.
    private static let reuseDistance = 0x1_0000

    /// Ends a flow in favour of the next one between the same ends.
    mutating func replace(_ flow: UnsafeMutablePointer<TCPFlow>, _ tcp: TCPHeader, now: Instant) {
        let addresses = flow.pointee.addresses
        let isOpening = flow.pointee.state == .opening
        // An attempt that was given up leaves its place to the next; a flow in TIME-WAIT has none among the half-open.
        guard isOpening || admits(addresses.source.address, now: now) else { return }
        let last = isOpening ? nil : flow.pointee.highestSent
        if isOpening { events.append(.reset(flow.pointee.id)) }
        forget(flow)
        open(tcp, addresses, after: last, now: now)
    }

    /// The flow has entered TIME-WAIT: it is nobody's business any more.
    mutating func enterWaiting(_ flow: UnsafeMutablePointer<TCPFlow>) {
        sources.close(flow.pointee.life.source, wasHalfOpen: false)
        lists.move(flow.pointee.id.slot, to: .waiting)
    }

    /// Ends a flow whose owner has not said in time what came of the dial. No answer is silence.
    mutating func endIfDialTimedOut(_ flow: UnsafeMutablePointer<TCPFlow>, now: Instant) -> Bool {
        guard flow.pointee.state == .opening, let deadline = flow.pointee.lifetimeDeadline(settings: rules),
            deadline <= now
        else { return false }
        counters.dialTimeouts += 1
        events.append(.reset(flow.pointee.id))
        forget(flow)
        return true
    }

    /// Takes the flow out of every list and frees its slot.
    mutating func forget(_ flow: UnsafeMutablePointer<TCPFlow>) {
        let slot = flow.pointee.id.slot
        switch lists.list(of: slot) {
        case .halfOpen: sources.close(flow.pointee.life.source, wasHalfOpen: true)
        case .active: sources.close(flow.pointee.life.source, wasHalfOpen: false)
        case .waiting, nil: break
        }
        lists.remove(slot)
        unmarkReady(flow)
        deadlines.remove(slot)
        flow.pointee.held.removeAll(memory: &heldMemory)
        flow.pointee.records.removeAll()
        flows.remove(flow)
    }

    // MARK: - Addresses

    /// No connection can come from or go to a group, nowhere, this host, or itself (the land attack).
    static func isPossible(_ addresses: FlowAddresses) -> Bool {
        addresses.source != addresses.destination && isPossible(addresses.source) && isPossible(addresses.destination)
    }

    private static func isPossible(_ end: Endpoint) -> Bool { end.port != 0 && isPossible(end.address) }

    /// Neither of the blocks that never appear in a network as the address of one host (RFC 6890, table 1 to 17;
    /// RFC 1122, section 3.2.1.3): 0/8, 127/8, 224/4 and 240/4 with the broadcast address; ::, ::1 and the rest of ::/96,
    /// the IPv4-mapped addresses, ff00::/8.
    static func isPossible(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let a):
            let first = a.value >> 24
            return first != 0 && first != 127 && first < 224
        case .v6(let a):
            let isEmbedded = a.high == 0 && (a.low >> 32 == 0 || a.low >> 32 == 0xFFFF)
            return !isEmbedded && a.high >> 56 != 0xFF
        }
    }
}
