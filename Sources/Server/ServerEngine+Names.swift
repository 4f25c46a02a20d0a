import Primitives
import Sealing
import Tunnel
import Users

/// Destinations that are names: looked up, judged, dialled.
///
/// The policy is asked about every address that a name has, and an address that it allows is dialled as it is: no name is
/// looked up between the check and the dial.
extension ServerEngine {
    // MARK: - Beginning

    /// The request of a flow or an association whose destination is a name.
    func beginNamed(_ flow: OutboundFlow, _ name: DomainName, port: UInt16, _ transport: DialTransport) {
        let session = flow.session
        nameCounters.requests += 1
        let asker = DialAsker(transport, name: name, user: session.user)
        if let verdict = policy.earlyVerdict(port: port, asker) {
            return deny(flow, verdict, .name(name, port: port), transport)
        }
        if let account = session.account, !account.mayAllow(name.text, port: port) {
            return deny(flow, .denied(by: .user), .name(name, port: port), transport)
        }
        guard session.waitingForNames < settings.names.maximumWaitingPerConnection else {
            nameCounters.waitingRefusedByLimit += 1
            return refuse(flow, .tooManyFlows)
        }
        guard beginDial(flow) else {
            counters.flowsRefusedByLimit += 1
            return refuse(flow, .tooManyFlows)
        }
        session.waitingForNames += 1
        let deadline = last + settings.dialTimeout
        flow.phase = .dialling(deadline: deadline)
        flow.named = NamedDial(
            name: name, port: port, transport: transport, race: HappyEyeballs(settings.names))
        scheduleDial(flow, deadline: deadline)
        switch transport {
        case .tcp:
            lookUp(.v6, flow)
            lookUp(.v4, flow)
            advance(flow)
        case .udp:
            // One address is enough, and nothing tells which family's way is alive: IPv4 where there is one.
            lookUp(.v4, flow)
        }
    }

    /// Asks for one family's addresses; an answer that is known is taken at once.
    private func lookUp(_ family: NameFamily, _ flow: OutboundFlow) {
        guard let name = flow.named?.name else { return }
        switch names.ask(NameCache.Question(name: name, family: family), for: flow.id, now: last) {
        case .known(let answer):
            nameCounters.hits += 1
            take(answer, family, flow)
        case .ask(let id):
            nameCounters.queries += 1
            append(.resolve(id, name, family))
        case .wait:
            nameCounters.joined += 1
        case .busy:
            nameCounters.refusedByLimit += 1
            take(.failed, family, flow)
        }
    }

    // MARK: - Answers

    /// The answer to `ServerAction.resolve`.
    public func resolved(_ id: NameQueryID, _ result: NameResult, now: Instant) {
        last = now
        guard let (question, answer, waiting) = names.answered(id, result, now: now) else { return }
        for flowID in waiting {
            guard let flow = flow(flowID), case .dialling = flow.phase, flow.named != nil else { continue }
            take(answer, question.family, flow)
            advance(flow)
        }
    }

    private func take(_ answer: NameCache.Answer, _ family: NameFamily, _ flow: OutboundFlow) {
        var addresses: [IPAddress] = []
        switch answer {
        case .addresses(let all): addresses = all.filter { allows($0, flow) }
        case .none: break
        case .failed: flow.named?.hasFailedQuery = true
        }
        switch flow.named?.transport {
        case .tcp?: flow.named?.race.answer(family, addresses, now: last)
        case .udp?: takeForAssociation(addresses.first, family, flow)
        case nil: break
        }
    }

    private func allows(_ address: IPAddress, _ flow: OutboundFlow) -> Bool {
        guard let named = flow.named else { return false }
        let endpoint = Endpoint(address, named.port)
        let verdict = verdict(on: endpoint, named.transport, name: named.name, for: flow.session)
        note(verdict, flow.session, .endpoint(endpoint), named.transport)
        guard !verdict.isAllowed else { return true }
        nameCounters.addressesDenied += 1
        flow.named?.denial = verdict
        return false
    }

    /// An association sends to the first address that it may have.
    private func takeForAssociation(_ address: IPAddress?, _ family: NameFamily, _ flow: OutboundFlow) {
        guard let named = flow.named else { return }
        guard let address else {
            if family == .v4 { return lookUp(.v6, flow) }
            return refuseNamed(flow, .withoutAddress)
        }
        guard let keys = flow.session.control?.sealed.keys else { return }
        leaveName(flow)
        endDials(flow)
        flow.phase = .awaitingRequest
        beginAssociation(flow, Endpoint(address, named.port), name: named.name, keys)
        // What the client sent behind its request has waited for this.
        if flow.association != nil { readRecords(flow) }
    }

    // MARK: - The race

    /// Begins the attempts that are due, or ends the flow when none is left.
    func advance(_ flow: OutboundFlow) {
        guard case .dialling(let deadline) = flow.phase, let port = flow.named?.port, flow.named?.transport == .tcp
        else { return }
        while let attempt = nextAttempt(flow) {
            let endpoint = Endpoint(attempt.address, port)
            flow.named?.dialled.append(endpoint)
            let destination = OutboundFlow.Destination(endpoint: endpoint, name: flow.named?.name)
            guard mayStillGo(destination, flow.session) else {
                nameCounters.addressesDenied += 1
                _ = flow.named?.race.failed(attempt.number, .notAllowed, now: last)
                leaveDials(flow)
                continue
            }
            if attempt.number == 1 { counters.dials += 1 }
            nameCounters.attempts += 1
            append(.dial(flow.id.attempt(attempt.number), endpoint))
        }
        if let end = flow.named?.race.end { return refuseNamed(flow, end) }
        scheduleDial(flow, deadline: min(deadline, flow.named?.race.deadline ?? deadline))
    }

    /// An attempt that is due begins, unless the client or its user has as many dials under way as may be: then it waits for its
    /// time once more. The first goes on with the place that the flow has had since its name was looked up, so every flow gets on.
    private func nextAttempt(_ flow: OutboundFlow) -> HappyEyeballs.Attempt? {
        let underWay = flow.named?.race.underWay.count ?? 0
        return flow.named?.race.next(now: last) {
            if flow.dials > underWay || beginDial(flow) { return true }
            nameCounters.attemptsPutOff += 1
            return false
        }
    }

    /// An attempt has ended. One place stays the flow's as long as its race goes on.
    private func leaveDials(_ flow: OutboundFlow) {
        endDials(flow, but: max(1, flow.named?.race.underWay.count ?? 0))
    }

    /// An attempt has won: the others end.
    func finishRace(_ flow: OutboundFlow, winner: OutboundID) {
        closeAttempts(flow, but: winner)
        leaveName(flow)
        flow.id = winner
        flow.hasSocket = true
    }

    func attemptFailed(_ flow: OutboundFlow, _ id: OutboundID, _ failure: DialFailure) {
        guard flow.named?.race.failed(id.attempt, failure, now: last) == true else { return }
        append(.close(id, reset: true))
        leaveDials(flow)
        advance(flow)
    }

    func isUnderWay(_ id: OutboundID, _ flow: OutboundFlow) -> Bool {
        flow.named?.race.underWay.contains(id.attempt) == true
    }

    private func closeAttempts(_ flow: OutboundFlow, but winner: OutboundID? = nil) {
        guard let named = flow.named else { return }
        for number in named.race.underWay where number != winner?.attempt {
            if winner != nil { nameCounters.attemptsBeaten += 1 }
            append(.close(flow.id.attempt(number), reset: true))
        }
    }

    private func refuseNamed(_ flow: OutboundFlow, _ end: HappyEyeballs.End) {
        guard let named = flow.named else { return }
        switch end {
        case .failed(let failure):
            counters.dialsFailed += 1
            refuse(flow, failure.reply)
        case .withoutAddress where named.denial != nil:
            // Each address has been noted with its verdict.
            counters.dialsDenied += 1
            refuse(flow, .notAllowed)
        case .withoutAddress:
            if named.hasFailedQuery { nameCounters.failed += 1 } else { nameCounters.unknown += 1 }
            refuse(flow, .hostUnreachable)
        }
    }

    /// `release` for what a flow has besides, while it waits for its name or dials its addresses.
    func forgetName(_ flow: OutboundFlow) {
        closeAttempts(flow)
        leaveName(flow)
    }

    private func leaveName(_ flow: OutboundFlow) {
        guard flow.named != nil else { return }
        flow.named = nil
        flow.session.waitingForNames -= 1
    }

    // MARK: - Figures

    /// With what is there now.
    public var currentNameCounters: NameCounters {
        var result = nameCounters
        result.evicted = names.evicted
        result.entries = names.count
        result.queriesOpen = names.queries
        return result
    }
}
