import Packets
import Primitives

/// Puts fragments together: RFC 791, section 3.2 and RFC 815 (IPv4), RFC 8200, section 4.5 and RFC 5722 (IPv6).
///
/// Overlapping fragments refuse the whole datagram in both families. RFC 791 lets the later bytes win; but no sender of
/// good will overlaps, and what is hidden that way is the attack of RFC 1858, section 4 and RFC 3128.
///
/// Memory is bounded by the number of datagrams at once: each takes 64 KiB and a little, allocated when first needed and
/// then kept. When all places are taken, the oldest datagram makes room.
struct Reassembly: ~Copyable {
    private let maximumFragments: Int
    private let maximumPerSource: Int
    private let maximum: Int
    private let timeout: Interval
    /// Datagrams in the order of their first fragments, which is the order of their deadlines.
    private var datagrams: [(datagram: PartialDatagram, place: Int)] = []
    /// Memory of every place ever used, and the places that are free.
    private var places: [UnsafeMutableRawPointer] = []
    private var free: [Int] = []

    init(settings: borrowing FlowSettings) {
        maximum = settings.maximumReassemblies
        maximumPerSource = settings.maximumReassembliesPerSource
        maximumFragments = max(1, settings.maximumFragments)
        timeout = settings.reassemblyTimeout
    }

    deinit {
        for memory in places { memory.deallocate() }
    }

    /// Datagrams under way, refused ones that wait for their end included.
    var count: Int { datagrams.count }
    /// Bytes allocated.
    var memory: Int { places.count * PartialDatagram.memorySize(maximumFragments: maximumFragments) }
    var nextDeadline: Instant? { datagrams.first?.datagram.deadline }

    /// Takes a fragment over.
    ///
    /// - Parameter packet: the fragment from its IP header to its end.
    /// - Returns: the whole datagram as one packet, when this was its last missing piece. It stays in place until the
    ///   next call.
    mutating func add(
        _ packet: UnsafeRawBufferPointer, _ ip: IPHeader, now: Instant, counters: inout FlowCounters
    ) -> UnsafeRawBufferPointer? {
        counters.fragments += 1
        guard let fragment = Fragment(ip, packet.bytes) else {
            counters.malformedFragments += 1
            return nil
        }
        if fragment.isFirst, !fragment.holdsTransportHeader {
            counters.tinyFragments += 1
            return nil
        }
        guard let index = find(fragment.key) ?? begin(fragment.key, now: now, counters: &counters) else { return nil }
        guard !datagrams[index].datagram.isRefused else {
            counters.refusedFragments += 1
            return nil
        }
        switch datagrams[index].datagram.add(fragment, packet) {
        case .held: return nil
        case .complete:
            counters.reassembled += 1
            let whole = datagrams[index].datagram.packet
            remove(index)
            return whole
        case .duplicate: counters.duplicateFragments += 1
        case .overlap: counters.overlappingFragments += 1
        case .tooMany: counters.excessFragments += 1
        case .impossible: counters.malformedFragments += 1
        }
        return nil
    }

    /// Forgets the oldest datagram whose time is over.
    /// - Returns: nil when there is none; else its first fragment, when that is here, in place until the next call.
    mutating func expire(now: Instant, counters: inout FlowCounters) -> UnsafeRawBufferPointer?? {
        guard let oldest = datagrams.first?.datagram, oldest.deadline <= now else { return nil }
        remove(0)
        if !oldest.isRefused { counters.reassemblyTimeouts += 1 }
        return .some(oldest.firstFragment)
    }

    private func find(_ key: FragmentKey) -> Int? { datagrams.lastIndex { $0.datagram.key == key } }

    private mutating func begin(_ key: FragmentKey, now: Instant, counters: inout FlowCounters) -> Int? {
        guard maximum > 0, maximumPerSource > 0 else {
            counters.fragmentsWithoutPlace += 1
            return nil
        }
        var ofSource = 0
        for entry in datagrams where entry.datagram.key.source == key.source { ofSource += 1 }
        if ofSource >= maximumPerSource {
            // A source that floods loses its own, not another's.
            guard let own = datagrams.firstIndex(where: { $0.datagram.key.source == key.source }) else { return nil }
            evict(own, counters: &counters)
        } else if datagrams.count >= maximum {
            evict(0, counters: &counters)
        }
        let place = takePlace()
        datagrams.append(
            (
                PartialDatagram(
                    key: key, deadline: now + timeout, memory: places[place], maximumFragments: maximumFragments),
                place
            ))
        return datagrams.count - 1
    }

    private mutating func evict(_ index: Int, counters: inout FlowCounters) {
        counters.reassemblyEvicted += 1
        remove(index)
    }

    private mutating func remove(_ index: Int) {
        free.append(datagrams[index].place)
        datagrams.remove(at: index)
    }

    private mutating func takePlace() -> Int {
        if let place = free.popLast() { return place }
        places.append(
            .allocate(
                byteCount: PartialDatagram.memorySize(maximumFragments: maximumFragments), alignment: 16))
        return places.count - 1
    }
}
