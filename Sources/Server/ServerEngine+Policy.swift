import Primitives
import QuicTransport
import Tunnel
import Users

/// Where flows may go, and what is told of those that may not.
extension ServerEngine {
    /// Denials told in the log at once, and in each second after that.
    static let denialNoticeBurst = 100
    static let denialNoticesPerSecond = 20

    /// Takes another policy for all that is dialled and sent from now on; connections that there are go on. Its counters
    /// begin anew. The server's own addresses stay as they are known.
    public func setPolicy(_ policy: DialPolicy) {
        var policy = policy
        policy.ownAddresses = self.policy.ownAddresses
        self.policy = policy
        policyGeneration += 1
        dialCounters = DialCounters(policy)
    }

    /// Takes note of what addresses the kernel delivers to this machine.
    public func setOwnAddresses(_ addresses: PrefixSet) {
        guard addresses != policy.ownAddresses else { return }
        policy.ownAddresses = addresses
        policyGeneration += 1
    }

    /// The policy's verdict, and that of the user's own destinations on what it allows.
    func verdict(
        on destination: Endpoint, _ transport: DialTransport, name: DomainName? = nil, for session: ServerSession
    ) -> DialVerdict {
        let verdict = policy.verdict(destination, DialAsker(transport, name: name, user: session.user))
        guard verdict.isAllowed, let account = session.account, !account.allows(destination, name: name?.text) else {
            return verdict
        }
        return .denied(by: .user)
    }

    /// Whether the user may still go there: the destinations may have changed since the verdict.
    func mayStillGo(_ destination: OutboundFlow.Destination, _ session: ServerSession) -> Bool {
        session.account?.allows(destination.endpoint, name: destination.name?.text) ?? true
    }

    /// A user's destinations have changed: resets the flows to where the user may not go any more. What is being dialled is judged when
    /// it succeeds, and an association with its next datagram.
    /// - Parameter account: `Account.id`.
    public func judgeFlows(account: Int64, now: Instant) {
        last = now
        for session in sessions {
            guard let session, session.account?.id == account else { continue }
            for index in session.flows {
                guard let flow = flows[index], case .open = flow.phase, let destination = flow.destination,
                    !mayStillGo(destination, session)
                else { continue }
                counters.flowsEndedByDestinations += 1
                cut(flow, .policyDenied)
            }
        }
    }

    /// Counts a verdict, and tells of it where it is a denial.
    func note(
        _ verdict: DialVerdict, _ session: ServerSession, _ destination: DestinationAddress, _ transport: DialTransport
    ) {
        dialCounters.note(verdict)
        guard !verdict.isAllowed, denialNotices.take(now: last) else { return }
        append(
            .log(.denied(session.connection.validatedRemote, destination, transport, by: policy.text(verdict.source))))
    }

    /// Refuses a flow that the policy forbids.
    func deny(
        _ flow: OutboundFlow, _ verdict: DialVerdict, _ destination: DestinationAddress, _ transport: DialTransport
    ) {
        counters.dialsDenied += 1
        note(verdict, flow.session, destination, transport)
        refuse(flow, .notAllowed)
    }
}
