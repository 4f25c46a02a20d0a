/// A list of slots of a table, in an order of its own. The links lie in a `SlotLinks`.
struct SlotList {
    var first: UInt32?
    var last: UInt32?
    var count = 0
}

/// The links of lists over one table's slots. A slot is in one of the lists at most; each purpose has its own links.
struct SlotLinks {
    private struct Link {
        var previous: UInt32?
        var next: UInt32?
    }

    private var links: [Link] = []

    mutating func grow(to count: Int) {
        if links.count < count { links.append(contentsOf: repeatElement(Link(), count: count - links.count)) }
    }

    mutating func append(_ slot: UInt32, to list: inout SlotList) {
        links[Int(slot)] = Link(previous: list.last, next: nil)
        if let last = list.last { links[Int(last)].next = slot } else { list.first = slot }
        list.last = slot
        list.count += 1
    }

    mutating func remove(_ slot: UInt32, from list: inout SlotList) {
        let link = links[Int(slot)]
        if let previous = link.previous { links[Int(previous)].next = link.next } else { list.first = link.next }
        if let next = link.next { links[Int(next)].previous = link.previous } else { list.last = link.previous }
        list.count -= 1
    }

    /// To the end of the list in which it is.
    mutating func renew(_ slot: UInt32, in list: inout SlotList) {
        guard list.last != slot else { return }
        remove(slot, from: &list)
        append(slot, to: &list)
    }
}
