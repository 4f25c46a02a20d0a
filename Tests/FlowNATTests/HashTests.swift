import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// The tables by themselves: against a Dictionary, with hashes that collide, and as their memory goes.
struct HashTests {
    /// Values of SipHash-1-3 under the key 0, 0, from another implementation.
    @Test(
        arguments: [
            ([1], 0x1e9f_7341_61d6_2dd9), ([0x0a00_0002_c000_0201, 0x9c40_01bb], 0x21b3_f05d_2181_804e),
            ([1, 2, 3], 0x8acb_6513_5d8f_2da1), (Array(repeating: .max, count: 5), 0x97a1_f348_31b4_15f0),
        ] as [([UInt64], UInt64)])
    func sipHash13(words: [UInt64], expected: UInt64) {
        #expect(FlowHash(key0: 0, key1: 0).hash(words: words) == expected)
    }

    /// With few different hashes nearly everything collides, runs wrap around the end, and removal has long runs to mend.
    @Test(arguments: [0xF, 0xFF, 0xFFFF_FFFF] as [UInt32], 0..<8 as Range<UInt64>)
    func anIndexIsADictionary(hashMask: UInt32, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var index = HashIndex()
        var model: [UInt32: UInt32] = [:]  // value to hash
        var failures = 0
        for _ in 0..<4_000 {
            let value = UInt32.random(in: 0..<600, using: &random)
            // The upper end of the hashes too, so that runs cross the end of the memory.
            let hash = (value &* 0x9E37_79B9 &+ UInt32(truncatingIfNeeded: seed)) & hashMask | ~hashMask
            if model[value] == nil {
                index.insert(hash, value)
                model[value] = hash
            } else if Bool.random(using: &random) {
                index.remove(hash, value)
                model[value] = nil
            }
            if index.count != model.count { failures += 1 }
        }
        for value in 0..<600 as Range<UInt32> {
            let hash = (value &* 0x9E37_79B9 &+ UInt32(truncatingIfNeeded: seed)) & hashMask | ~hashMask
            let found = index.find(hash) { $0 == value }
            if found != (model[value] == nil ? nil : value) { failures += 1 }
        }
        for (value, hash) in model { index.remove(hash, value) }
        #expect(failures == 0 && index.count == 0, "seed \(seed)")
    }

    // MARK: Flows

    private func addresses(_ number: Int) -> FlowAddresses {
        let port = UInt16(1 + number % 60_000)
        guard number % 3 == 0 else {
            return FlowAddresses(
                source: Endpoint(.v4(IPv4Address(0x0A00_0000 + UInt32(number / 100))), port),
                destination: Endpoint("192.0.2.1:443")!)
        }
        return FlowAddresses(
            source: Endpoint(.v6(IPv6Address(high: 0xFD00 << 48, low: UInt64(number))), port),
            destination: Endpoint("[2001:db8::1]:443")!)
    }

    private func insert(_ number: Int, into table: inout FlowTable, pool: BlockPool) -> FlowID {
        let addresses = addresses(number)
        // The flows of these tests never send, so nothing looks at it again.
        let records = UnsafeMutablePointer<SendRecordArena>.allocate(capacity: 1)
        records.initialize(to: SendRecordArena(limit: 16, limitPerFlow: 16))
        defer {
            records.deinitialize(count: 1)
            records.deallocate()
        }
        var settings = FlowSettings()
        let flow = table.insert(addresses) { id in
            TCPFlow(
                id: id, addresses: addresses, syn: synHeader, initialSend: SequenceNumber(0), timestampOffset: 0,
                pool: pool, records: records, settings: &settings, now: Instant(nanoseconds: 0))
        }
        return flow.pointee.id
    }

    private let synHeader: TCPHeader = {
        var bytes = [UInt8](repeating: 0, count: TCPHeader.minimumLength)
        bytes[12] = 0x50
        bytes[13] = TCPFlags.syn.rawValue
        guard let header = try? TCPHeader.parse(bytes.span.bytes) else { preconditionFailure("a whole header") }
        return header
    }()

    @Test(arguments: 0..<12 as Range<UInt64>)
    func aFlowTableIsADictionary(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pool = BlockPool(byteLimit: 1 << 20)
        var table = FlowTable(hash: FlowHash(random: &random))
        var model: [FlowAddresses: FlowID] = [:]
        var gone: [FlowID] = []
        var failures: [String] = []
        for step in 0..<6_000 {
            let number = Int.random(in: 0..<1_500, using: &random)
            let addresses = addresses(number)
            let found = table.find(addresses).map { $0.pointee.id }
            if found != model[addresses] { failures.append("step \(step): found \(String(describing: found))") }
            if let id = found {
                guard let flow = table.find(id) else {
                    failures.append("step \(step): no flow of that identifier")
                    continue
                }
                // Mostly removing in the second half, so that chunks run empty.
                if random.chance(step < 3_000 ? 0.3 : 0.9) {
                    table.remove(flow)
                    model[addresses] = nil
                    gone.append(id)
                }
            } else if random.chance(step < 3_000 ? 0.9 : 0.2) {
                model[addresses] = insert(number, into: &table, pool: pool)
            }
            if table.count != model.count { failures.append("step \(step): \(table.count) flows") }
        }
        var listed: Set<FlowID> = []
        table.forEach { listed.insert($0.pointee.id) }
        #expect(listed == Set(model.values) && Set(table.identifiers) == listed)
        #expect(Set(listed.map(\.index)).count == listed.count)
        let isBack = gone.contains { table.find($0) != nil }
        #expect(failures.isEmpty && !isBack, "seed \(seed): \(failures)")
        for id in model.values { table.find(id).map { table.remove($0) } }
        #expect(table.count == 0 && table.allocatedChunks <= 1)
    }

    @Test func memoryOfABurstGoesBack() {
        var random = SeededRandom(seed: 1)
        let pool = BlockPool(byteLimit: 1 << 20)
        var table = FlowTable(hash: FlowHash(random: &random))
        var identifiers = (0..<10_000).map { insert($0, into: &table, pool: pool) }
        #expect(table.allocatedChunks == (10_000 + 63) / 64)
        let full = table.byteCount
        let kept = identifiers.removeFirst()
        for id in identifiers { table.find(id).map { table.remove($0) } }
        #expect(table.allocatedChunks == 2)  // that of the one flow, and a spare one
        // The next burst takes the lowest slots, and no more memory than the first.
        let again = (10_000..<19_999).map { insert($0, into: &table, pool: pool) }
        #expect(table.byteCount == full && table.find(kept) != nil)
        #expect(again.map(\.index).max()! < 10_000)
    }

    /// An idle flow takes 2 KiB at most, its share of every table included; half of it is for what is still to come.
    @Test func anIdleFlowIsSmall() {
        var random = SeededRandom(seed: 1)
        let pool = BlockPool(byteLimit: 1 << 20)
        var table = FlowTable(hash: FlowHash(random: &random))
        for number in 0..<10_000 { _ = insert(number, into: &table, pool: pool) }
        #expect(table.byteCount / 10_000 <= 1_400, "\(table.byteCount / 10_000) bytes a flow")
        #expect(pool.outstanding == 0)  // no buffers before the dial is decided
    }

    // MARK: Sources and lists

    @Test func aSourceTableCounts() {
        var random = SeededRandom(seed: 5)
        var table = SourceTable(hash: FlowHash(random: &random))
        var model: [IPAddress: SourceTable.Usage] = [:]
        var flows: [(address: IPAddress, source: UInt32, isHalfOpen: Bool)] = []
        for _ in 0..<20_000 {
            if flows.count < 300, random.chance(0.55) {
                let address = IPAddress.v4(IPv4Address(.random(in: 1...100, using: &random)))
                flows.append((address, table.open(address), true))
                model[address, default: .init()].flows += 1
                model[address, default: .init()].halfOpen += 1
            } else if let index = flows.indices.randomElement(using: &random) {
                let flow = flows[index]
                if flow.isHalfOpen, random.chance(0.5) {
                    table.establish(flow.source)
                    flows[index].isHalfOpen = false
                    model[flow.address]!.halfOpen -= 1
                } else {
                    table.close(flow.source, wasHalfOpen: flow.isHalfOpen)
                    flows.remove(at: index)
                    model[flow.address]!.flows -= 1
                    if flow.isHalfOpen { model[flow.address]!.halfOpen -= 1 }
                }
            }
        }
        for (address, usage) in model { #expect(table.usage(of: address) == usage) }
        #expect(table.count == model.values.filter { $0.flows > 0 }.count)
        for flow in flows { table.close(flow.source, wasHalfOpen: flow.isHalfOpen) }
        #expect(table.count == 0 && table.byteCount < 64 << 10)
    }

    @Test func listsKeepTheirOrder() {
        var random = SeededRandom(seed: 9)
        var lists = FlowLists()
        var model: [FlowList: [UInt32]] = [.halfOpen: [], .active: [], .waiting: []]
        for _ in 0..<5_000 {
            let slot = UInt32.random(in: 0..<40, using: &random)
            for list in FlowList.allCases { model[list]!.removeAll { $0 == slot } }
            if random.chance(0.2) {
                lists.remove(slot)
            } else {
                let list = FlowList.allCases.randomElement(using: &random)!
                lists.move(slot, to: list)
                model[list]!.append(slot)
            }
        }
        for list in FlowList.allCases {
            var walked: [UInt32] = []
            var slot = lists.first(of: list)
            while let current = slot {
                walked.append(current)
                #expect(lists.list(of: current) == list)
                slot = lists.next(after: current)
            }
            #expect(walked == model[list] && lists.count(of: list) == walked.count)
        }
    }
}
