import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// From the client's hello to the program's decision.
extension ServerEngine {
    /// Connections that say nothing cost a client nothing, and could take every place. Whoever means to come in has done so before it
    /// is the oldest of those who have not.
    func makeRoomForNewcomer(_ session: ServerSession) {
        while let first = newcomers.first, self.session(first)?.isNewcomer != true { _ = newcomers.popFirst() }
        newcomers.append(session.id)
        guard newcomers.count > settings.maximumNewcomers,
            sessions.count(where: { $0?.isNewcomer == true }) > settings.maximumNewcomers,
            let oldest = newcomers.popFirst().flatMap({ self.session($0) })
        else { return }
        counters.newcomersDropped += 1
        close(oldest, .resourceLimit, "too many clients log in at once")
        end(oldest, reason: "too many clients log in at once")
    }

    /// Asks the program whether the client may come in.
    func logIn(_ session: ServerSession, _ hello: Hello, key: PublicKey) {
        guard pendingLogins < settings.maximumPendingLogins else {
            counters.loginsRefusedByLimit += 1
            return deny(session, .tryLater(seconds: settings.busyRetrySeconds))
        }
        pendingLogins += 1
        counters.logins += 1
        session.software = hello.software
        session.phase = .loggingIn(deadline: last + settings.loginTimeout)
        append(
            .login(
                session.id,
                LoginRequest(
                    key: key, user: hello.user,
                    certificate: session.connection.peerCertificate.flatMap(CertificateIdentity.init),
                    remote: session.connection.validatedRemote, software: hello.software)))
        markDirty(session)
    }

    /// Lets the client in, in answer to `ServerAction.login`.
    /// - Returns: false when it is gone meanwhile; then no `ServerAction.loggedOut` follows.
    @discardableResult
    public func admit(_ id: SessionID, _ admission: Admission, now: Instant) -> Bool {
        last = now
        guard let session = session(id), case .loggingIn = session.phase, let control = session.control else {
            return false
        }
        pendingLogins -= 1
        session.user = admission.user
        session.seat = admission.seat
        boundWindow(session)
        session.phase = .open
        counters.loginsAdmitted += 1
        let welcome = Welcome(
            maximumFlows: UInt32(clamping: settings.maximumFlowsPerConnection), software: settings.software)
        reply(welcome.encode(), session, control.sealed)
        append(.log(.connected(session.connection.validatedRemote, user: admission.user, software: session.software)))
        markDirty(session)
        return true
    }

    /// Sends the client away, in answer to `ServerAction.login`.
    public func refuse(_ id: SessionID, _ refusal: LoginRefusal, now: Instant) {
        last = now
        guard let session = session(id), case .loggingIn = session.phase else { return }
        pendingLogins -= 1
        counters.loginsRefused += 1
        deny(session, refusal)
    }

    /// Ends a client's session, such as one whose user was removed.
    public func kick(_ id: SessionID, reason: String, now: Instant) {
        last = now
        guard let session = session(id), case .open = session.phase else { return }
        counters.sessionsKicked += 1
        tell(session, .kick(code: TunnelErrorCode.kicked.rawValue, reason: reason))
        end(session, reason: "kicked: \(reason)")
        leave(session, .kicked)
    }

    /// The program did not decide in time.
    func loginTimedOut(_ session: ServerSession) {
        pendingLogins -= 1
        counters.loginsTimedOut += 1
        deny(session, .tryLater(seconds: settings.busyRetrySeconds))
    }

    private func deny(_ session: ServerSession, _ refusal: LoginRefusal) {
        append(.log(.loginRefused(session.connection.validatedRemote, refusal)))
        tell(session, .denied(refusal))
        session.phase = .ended
        leave(session, .authenticationFailed)
    }

    /// Closes the connection as soon as the client has the last message, or has had time for it.
    private func leave(_ session: ServerSession, _ code: TunnelErrorCode) {
        session.leaving = (code, deadline: last + settings.farewellTime)
        markDirty(session)
    }

    /// Called when a connection has sent all it can.
    func closeIfHeard(_ session: ServerSession) {
        guard let leaving = session.leaving else { return }
        guard session.control?.stream.buffered ?? 0 == 0 || leaving.deadline <= last else { return }
        session.leaving = nil
        close(session, leaving.code, "")
    }

    func session(_ id: SessionID) -> ServerSession? {
        guard sessions.indices.contains(id.index), let session = sessions[id.index], session.id == id else {
            return nil
        }
        return session
    }
}
