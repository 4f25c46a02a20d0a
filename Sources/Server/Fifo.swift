/// First in, first out, in an array whose front moves. Memory is reused: it holds at most about twice what waits.
struct Fifo<Element> {
    /// Places before `head` are nil, so that nothing is kept alive by them.
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 64 && head >= elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// The first goes behind the others.
    mutating func rotate() {
        if let element = popFirst() { append(element) }
    }
}
