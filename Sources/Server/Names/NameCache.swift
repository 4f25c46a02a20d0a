import Primitives
import Tunnel

/// What the name servers have said, for as long as it is good, and who waits for what they are still to say.
///
/// Bounded by `maximumEntries` answers and `maximumQueries` questions. Who waits is a flow, and flows have limits of their
/// own; one that is gone meanwhile is passed over when the answer comes.
struct NameCache {
    struct Question: Hashable {
        var name: DomainName
        var family: NameFamily
    }

    enum Answer: Equatable {
        /// At most `maximumAddresses`.
        case addresses([IPAddress])
        case none
        case failed
    }

    /// What is to be done about a question.
    enum Outcome: Equatable {
        case known(Answer)
        /// To be asked now; the answer goes to `answered`.
        case ask(NameQueryID)
        /// Somebody has asked already.
        case wait
        /// As many questions as may are under way.
        case busy
    }

    private enum Entry {
        /// `stamp` tells the entry from later ones of the same question.
        case known(Answer, until: Instant, stamp: UInt64)
        case asked(waiting: [OutboundID])
    }

    private let settings: NameSettings
    private var entries: [Question: Entry] = [:]
    private var asked: [NameQueryID: Question] = [:]
    /// Answers in the order of their coming: the oldest goes first. Some of them have been replaced.
    private var order = Fifo<(question: Question, stamp: UInt64)>()
    private var lastNumber: UInt64 = 0
    private(set) var evicted = 0

    init(_ settings: NameSettings) { self.settings = settings }

    /// Answers that are kept, good or not any more.
    var count: Int { entries.count - asked.count }
    /// Questions under way.
    var queries: Int { asked.count }
    /// Places of `order`: for the test of its bound.
    var orderCount: Int { order.count }

    mutating func ask(_ question: Question, for waiting: OutboundID, now: Instant) -> Outcome {
        switch entries[question] {
        case .known(let answer, let until, _)? where now < until:
            return .known(answer)
        case .asked(var others)?:
            entries[question] = nil  // or the list would be copied
            others.append(waiting)
            entries[question] = .asked(waiting: others)
            return .wait
        case .known?, nil:
            guard asked.count < settings.maximumQueries else { return .busy }
            lastNumber += 1
            let id = NameQueryID(number: lastNumber)
            asked[id] = question
            entries[question] = .asked(waiting: [waiting])
            return .ask(id)
        }
    }

    /// An answer has come.
    /// - Returns: the question, the answer as it is kept, and who waits for it; nil for a question that nobody asked.
    mutating func answered(
        _ id: NameQueryID, _ result: NameResult, now: Instant
    ) -> (question: Question, answer: Answer, waiting: [OutboundID])? {
        guard let question = asked.removeValue(forKey: id), case .asked(let waiting)? = entries[question] else {
            return nil
        }
        let answer: Answer
        let lifetime: Interval
        switch result {
        case .addresses(let addresses, let told):
            // An A record is an IPv4 address and an AAAA record an IPv6 one, whatever form that has.
            let fitting = addresses.filter { $0.isIPv4 == (question.family == .v4) }.prefix(settings.maximumAddresses)
            answer = fitting.isEmpty ? .none : .addresses(Array(fitting))
            lifetime =
                fitting.isEmpty
                ? settings.negativeLifetime : min(max(told, settings.minimumLifetime), settings.maximumLifetime)
        case .none:
            answer = .none
            lifetime = settings.negativeLifetime
        case .failed:
            answer = .failed
            lifetime = settings.failureLifetime
        }
        lastNumber += 1
        entries[question] = .known(answer, until: now + lifetime, stamp: lastNumber)
        order.append((question, lastNumber))
        makeRoom()
        return (question, answer, waiting)
    }

    private mutating func makeRoom() {
        while count > settings.maximumEntries || order.count > 2 * settings.maximumEntries {
            guard let (question, stamp) = order.popFirst() else { return }
            guard case .known(_, _, stamp)? = entries[question] else { continue }
            entries[question] = nil
            evicted += 1
        }
    }
}
