/// Which list a flow stands in.
enum FlowList: UInt8, CaseIterable {
    /// The dial or the handshake is not over. Oldest first.
    case halfOpen
    /// Between the handshake and the end. Least recently heard first, by a coarse clock.
    case active
    /// TIME-WAIT. Oldest first: these places are the first to be given to new flows.
    case waiting
}

/// Three lists of slots; each slot stands in one of them or in none. Every change takes the same few steps.
struct FlowLists {
    private struct Links {
        var previous = FlowLists.none
        var next = FlowLists.none
        var list: FlowList?
    }

    private struct Ends {
        var first = FlowLists.none
        var last = FlowLists.none
        var count = 0
    }

    private static let none = UInt32.max

    private var links: [Links] = []
    private var halfOpen = Ends()
    private var active = Ends()
    private var waiting = Ends()

    private func ends(_ list: FlowList) -> Ends {
        switch list {
        case .halfOpen: halfOpen
        case .active: active
        case .waiting: waiting
        }
    }

    private mutating func withEnds(_ list: FlowList, _ body: (inout Ends, inout [Links]) -> Void) {
        switch list {
        case .halfOpen: body(&halfOpen, &links)
        case .active: body(&active, &links)
        case .waiting: body(&waiting, &links)
        }
    }

    func count(of list: FlowList) -> Int { ends(list).count }

    /// The slot that has stood in the list longest.
    func first(of list: FlowList) -> UInt32? {
        let slot = ends(list).first
        return slot == Self.none ? nil : slot
    }

    /// The slot behind this one in its list.
    func next(after slot: UInt32) -> UInt32? {
        let next = links[Int(slot)].next
        return next == Self.none ? nil : next
    }

    /// The list that the slot stands in.
    func list(of slot: UInt32) -> FlowList? { Int(slot) < links.count ? links[Int(slot)].list : nil }

    /// Puts the slot at the end of a list, and takes it out of the one in which it stood.
    mutating func move(_ slot: UInt32, to list: FlowList) {
        if Int(slot) >= links.count {
            links.append(contentsOf: repeatElement(Links(), count: Int(slot) + 1 - links.count))
        }
        remove(slot)
        withEnds(list) { ends, links in
            links[Int(slot)] = Links(previous: ends.last, next: Self.none, list: list)
            if ends.last == Self.none { ends.first = slot } else { links[Int(ends.last)].next = slot }
            ends.last = slot
            ends.count += 1
        }
    }

    /// Takes the slot out of its list, if it stands in one.
    mutating func remove(_ slot: UInt32) {
        guard let list = list(of: slot) else { return }
        withEnds(list) { ends, links in
            let (previous, next) = (links[Int(slot)].previous, links[Int(slot)].next)
            if previous == Self.none { ends.first = next } else { links[Int(previous)].next = next }
            if next == Self.none { ends.last = previous } else { links[Int(next)].previous = previous }
            ends.count -= 1
            links[Int(slot)] = Links()
        }
    }
}
