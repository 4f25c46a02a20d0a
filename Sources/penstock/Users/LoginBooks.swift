import Configuration
import LinuxIO
import Logging
import Primitives
import Sealing
import Server
import Tunnel
import UserStore
import Users

/// What the login desk does on its thread: decisions one after the other, and between them a look at the database four times a second
/// and a line of usage every two seconds.
final class LoginBooks {
    static let lookEvery = Interval.milliseconds(250)
    static let writeEvery = Interval.seconds(2)

    let loop: EventLoop
    private let logger: Logger
    private let store: UserStore
    private var authenticator: Authenticator
    private var limiter = LoginLimiter()
    private var book: AccountBook
    private var owed = OwedOrders()
    /// Logins with passwords, `LoginDesk.maximumWaiting` at most.
    private var guesses: [(request: LoginRequest, came: Instant, answer: (LoginDesk.Decision) -> Void)] = []
    private var nextLook: Instant
    private var nextWrite: Instant
    /// The last thing that went wrong with the database, so that it is said once.
    private var trouble: UserStoreError?

    init(_ settings: UserSettings, logger: Logger = Logger(label: "logins")) throws {
        self.logger = logger
        loop = try EventLoop()
        store = try openUserDatabase(settings.database, create: true, for: .service)
        var random = SystemRandom()
        authenticator = Authenticator(store: store, required: settings.required, random: &random)
        book = AccountBook(store: store, unixSeconds: unixSeconds())
        let now = MonotonicClock.now
        nextLook = now
        nextWrite = now + Self.writeEvery
    }

    /// Warns of keys that come in by the configuration's list, where no limit of their user holds.
    func warnOfListed(_ clients: [ServerConfiguration.KnownClient]) {
        for client in clients {
            guard let user = try? store.user(key: client.key.bytes) else { continue }
            logger.warning(
                "this key is a user's, and in 'clients', where it comes in without the user's limits; take it out of the list",
                metadata: ["client": "\(client.name)", "user": "\(user.name)"])
        }
    }

    /// - Parameter loops: see `LoginDesk.start`.
    func run(loops: [LoginDesk.OrderTaker]) {
        loop.run { [self] in
            let now = MonotonicClock.now
            if nextLook <= now { look(now, loops) }
            if nextWrite <= now { write(now) }
            decideNext(now)
            return guesses.isEmpty ? min(nextLook, nextWrite) : now
        }
    }

    func stop() {
        write(MonotonicClock.now)
        store.close()
        loop.stop()
    }

    // MARK: - Logins

    /// Decides at once, or, where there is a password to hash, after those that came before: one in each turn, so that neither keys
    /// nor what an administrator changes waits for them.
    func take(_ request: LoginRequest, answer: @escaping (LoginDesk.Decision) -> Void) {
        guard request.hasPassword else { return answer(decide(request)) }
        guesses.append((request, MonotonicClock.now, answer))
    }

    private func decideNext(_ now: Instant) {
        guard !guesses.isEmpty else { return }
        let (request, came, answer) = guesses.removeFirst()
        // The loop has given this one up.
        guard now - came < LoginDesk.patience else { return answer(.failure(.tryLater(seconds: LoginDesk.pause))) }
        answer(decide(request))
    }

    func decide(_ request: LoginRequest) -> LoginDesk.Decision {
        let now = MonotonicClock.now
        let source = LoginLimiter.Source(request.remote.address)
        let claimed = request.user.flatMap { UserName($0.name) }
        if request.hasPassword, let refusal = refuseUnheard(request, claimed, source, now) { return .failure(refusal) }
        do throws(UserStoreError) {
            let decision = try decide(request, claimed, source, now)
            trouble = nil
            return decision
        } catch {
            tell(error)
            return .failure(.tryLater(seconds: LoginDesk.pause))
        }
    }

    private func refuseUnheard(
        _ request: LoginRequest, _ claimed: UserName?, _ source: LoginLimiter.Source, _ now: Instant
    ) -> LoginRefusal? {
        guard let wait = limiter.wait(for: source, name: claimed, now: now) else { return nil }
        logFailure(request, claimed, "too-many-failures")
        return .tryLater(seconds: UInt32(clamping: Int64(wait.seconds.rounded(.up))))
    }

    private func decide(
        _ request: LoginRequest, _ claimed: UserName?, _ source: LoginLimiter.Source, _ now: Instant
    ) throws(UserStoreError) -> LoginDesk.Decision {
        let claim = LoginClaim(
            key: request.key.bytes, name: request.user?.name,
            password: request.user.flatMap { user in user.password.withBytes { Password($0) } },
            certificate: request.certificate?.user)
        switch try authenticator.decide(claim, now: unixSeconds()) {
        case .wrongCredentials:
            return .failure(refuse(request, claimed, source, now))
        case .damaged(let row):
            logger.error("a login came to nothing: \(UserStoreError.damagedUser(row))")
            return .failure(refuse(request, claimed, source, now))
        case .disabled(let name):
            logRefusal(request, name, "disabled")
            return .failure(.disabled)
        case .expired(let name):
            logRefusal(request, name, "expired")
            return .failure(.expired)
        case .accepted(let user):
            limiter.succeeded(source, name: user.name, now: now)
            switch try book.admit(user, unixSeconds: unixSeconds(), now: now) {
            case .seat(let seat):
                return .success(Admission(user: user.name.text, seat: seat))
            case .tooManySessions:
                logRefusal(request, user.name, "too-many-sessions")
                return .failure(.tooManySessions)
            case .quotaSpent:
                logRefusal(request, user.name, "quota-spent")
                return .failure(.quotaSpent)
            }
        }
    }

    private func refuse(
        _ request: LoginRequest, _ claimed: UserName?, _ source: LoginLimiter.Source, _ now: Instant
    ) -> LoginRefusal {
        // Keys and certificates cannot be guessed: who has a good one is not held up by what others try from the same place.
        if !request.hasPassword, let refusal = refuseUnheard(request, claimed, source, now) { return refusal }
        limiter.failed(source, name: claimed, now: now)
        logFailure(request, claimed, "wrong-credentials")
        return .wrongCredentials
    }

    // MARK: - Books

    private func look(_ now: Instant, _ loops: [LoginDesk.OrderTaker]) {
        nextLook = now + Self.lookEvery
        let orders = book.look(unixSeconds: unixSeconds(), now: now)
        if let error = book.trouble { tell(error) } else { trouble = nil }
        for order in owed.give(orders, to: loops.count, { loops[$0]($1) }) {
            switch order.action {
            case .endSessions(let reason):
                logger.notice("sessions ended", metadata: ["user": "\(order.name)", "reason": "\(reason)"])
            case .judgeFlows: logger.info("destinations changed", metadata: ["user": "\(order.name)"])
            }
        }
    }

    private func write(_ now: Instant) {
        nextWrite = now + Self.writeEvery
        do throws(UserStoreError) {
            try book.write(unixSeconds: unixSeconds(), now: now)
        } catch {
            tell(error)
        }
    }

    // MARK: - Log

    func logFigures() {
        let counters = limiter.counters
        logger.info(
            "statistics",
            metadata: [
                "accounts": "\(book.count)", "hashes": "\(authenticator.hashes)", "failures": "\(counters.failures)",
                "refused_unheard": "\(counters.refused)", "remembered": "\(limiter.remembered)",
                "forgotten_early": "\(counters.evicted)", "orders_owed": "\(owed.count)",
                "orders_retried": "\(owed.retries)",
            ])
    }

    /// A guess, or a mistake: what fail2ban counts.
    private func logFailure(_ request: LoginRequest, _ name: UserName?, _ reason: String) {
        logger.warning("\(LoginLine.failed)", metadata: LoginLine.fields(request.remote, reason, name))
    }

    /// A login that is right, and yet refused.
    private func logRefusal(_ request: LoginRequest, _ name: UserName, _ reason: String) {
        logger.notice("\(LoginLine.refused)", metadata: LoginLine.fields(request.remote, reason, name))
    }

    private func tell(_ error: UserStoreError) {
        guard error != trouble else { return }
        trouble = error
        logger.error("the database of users cannot be used: \(error)")
    }
}

extension LoginRequest {
    /// Something that can be guessed, and costs a hash.
    fileprivate var hasPassword: Bool { user.map { $0.password.count > 0 } ?? false }
}
