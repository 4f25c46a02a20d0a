import Primitives

/// One socket's worth of datagrams: numbers them, and knows the echoes again.
public final class DatagramFlow {
    /// Echoes that come this many datagrams late, or later, count as lost.
    static let window = 65_536

    private unowned let workload: DatagramWorkload
    private(set) var channel: (any DatagramFlowChannel)?
    /// Tells this flow's datagrams from those of others and of earlier runs.
    let identifier: UInt64
    private(set) var nextSequence: UInt64 = 0
    private var seen: SequenceWindow
    /// The sink's answer has come.
    private(set) var isReported = false
    private(set) var received: UInt64 = 0
    private(set) var sent: UInt64 = 0
    /// Something of what it was to send was refused.
    private(set) var wasRefused = false

    init(workload: DatagramWorkload, identifier: UInt64) {
        self.workload = workload
        self.identifier = identifier
        seen = SequenceWindow(size: Self.window)
    }

    func open(on carrier: any DatagramCarrier, now: Instant) throws(FlowFailure) {
        channel = try carrier.open(self, to: workload.destination, now: now)
    }

    func close() {
        channel?.close()
        channel = nil
    }

    /// The number of the next datagram, which is then used up.
    func takeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    func countSent(_ count: Int) { sent += UInt64(count) }

    func noteRefusal() { wasRefused = true }

    /// Was refused before anything had left: no answer can come.
    var neverBegan: Bool { wasRefused && sent == 0 }

    public func channelReceived(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        guard let header = DatagramHeader(bytes), header.identifier == identifier else { return workload.stray() }
        switch header.kind {
        case .data:
            guard header.sequence < nextSequence else { return workload.stray() }
            switch seen.insert(header.sequence) {
            case .new(let isLate):
                received += 1
                workload.echoed(bytes, header, isLate: isLate, now: now)
            case .known: workload.statistics.datagrams.duplicated += 1
            case .tooOld: workload.statistics.datagrams.reordered += 1
            }
        case .report:
            guard !isReported else { return }
            isReported = true
            received = min(header.sequence, sent)
            workload.reported(self, count: header.sequence, wrong: header.wrong)
        case .query:
            workload.stray()
        }
    }

    /// The network said no to something that this flow sent.
    public func channelFailed(_ failure: FlowFailure) { workload.statistics.count(failure) }
}

/// Which of the latest sequence numbers have come.
struct SequenceWindow {
    enum Outcome: Equatable {
        case new(isLate: Bool)
        case known, tooOld
    }

    private var bits: [UInt64]
    private var highest: UInt64?

    /// - Parameter size: numbers to remember, a multiple of 64.
    init(size: Int) { bits = [UInt64](repeating: 0, count: size / 64) }

    private var size: UInt64 { UInt64(bits.count) * 64 }

    mutating func insert(_ sequence: UInt64) -> Outcome {
        guard let highest else {
            self.highest = sequence
            set(sequence)
            return .new(isLate: false)
        }
        if sequence > highest {
            if sequence - highest >= size {
                for index in bits.indices { bits[index] = 0 }
            } else {
                for skipped in highest + 1...sequence { clear(skipped) }
            }
            self.highest = sequence
            set(sequence)
            return .new(isLate: false)
        }
        if highest - sequence >= size { return .tooOld }
        if isSet(sequence) { return .known }
        set(sequence)
        return .new(isLate: true)
    }

    private func place(_ sequence: UInt64) -> (word: Int, bit: UInt64) {
        let index = sequence % size
        return (Int(index / 64), 1 << (index % 64))
    }

    private func isSet(_ sequence: UInt64) -> Bool {
        let (word, bit) = place(sequence)
        return bits[word] & bit != 0
    }

    private mutating func set(_ sequence: UInt64) {
        let (word, bit) = place(sequence)
        bits[word] |= bit
    }

    private mutating func clear(_ sequence: UInt64) {
        let (word, bit) = place(sequence)
        bits[word] &= ~bit
    }
}
