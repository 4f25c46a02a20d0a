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
    private let logger = Logger(label: "logins")
    private let store: UserStore
    private var authenticator: Authenticator
    private var limiter = LoginLimiter()
    private var book: AccountBook
    /// Those whose sessions could not be ended yet, because a loop's mailbox was full.
    private var owed: [AccountBook.Kick] = []
    private var nextLook: Instant
    private var nextWrite: Instant
    /// The last thing that went wrong with the database, so that it is said once.
    private var trouble: UserStoreError?

    init(_ settings: UserSettings) throws {
        loop = try EventLoop()
        store = try openUserDatabase(settings.database, create: true, for: .service)
        var random = SystemRandom()
        authenticator = Authenticator(store: store, required: Set(settings.required), random: &random)
        book = AccountBook(store: store, unixSeconds: unixSeconds())
        let now = MonotonicClock.now
        nextLook = now
        nextWrite = now + Self.writeEvery
    }

    func run(kick: (AccountBook.Kick) -> Bool) {
        loop.run { [self] in
            let now = MonotonicClock.now
            if nextLook <= now { look(now, kick) }
            if nextWrite <= now { write(now) }
            return min(nextLook, nextWrite)
        }
    }

    func stop() {
        write(MonotonicClock.now)
        store.close()
        loop.stop()
    }

    // MARK: - Logins

    func decide(_ request: LoginRequest) -> LoginDesk.Decision {
        let now = MonotonicClock.now
        let source = LoginLimiter.Source(request.remote.address)
        let claimed = request.user.flatMap { UserName($0.name) }
        if let wait = limiter.wait(for: source, name: claimed, now: now) {
            logFailure(request, claimed, "too-many-failures")
            return .failure(.tryLater(seconds: UInt32(clamping: Int64(wait.seconds.rounded(.up)))))
        }
        do throws(UserStoreError) {
            let decision = try decide(request, claimed, source, now)
            trouble = nil
            return decision
        } catch {
            tell(error)
            return .failure(.tryLater(seconds: LoginDesk.pause))
        }
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
            limiter.failed(source, name: claimed, now: now)
            logFailure(request, claimed, "wrong-credentials")
            return .failure(.wrongCredentials)
        case .disabled(let name):
            logRefusal(request, name, "disabled")
            return .failure(.disabled)
        case .expired(let name):
            logRefusal(request, name, "expired")
            return .failure(.expired)
        case .accepted(let user):
            limiter.succeeded(source, name: user.name, now: now)
            switch try book.admit(user, unixSeconds: unixSeconds(), now: now) {
            case .seat(let seat, let limits):
                return .success(Admission(user: user.name.text, maximumFlows: limits.flows, seat: seat))
            case .tooManySessions:
                logRefusal(request, user.name, "too-many-sessions")
                return .failure(.tooManySessions)
            case .quotaSpent:
                logRefusal(request, user.name, "quota-spent")
                return .failure(.quotaSpent)
            }
        }
    }

    // MARK: - Books

    private func look(_ now: Instant, _ kick: (AccountBook.Kick) -> Bool) {
        nextLook = now + Self.lookEvery
        do throws(UserStoreError) {
            owed += try book.look(unixSeconds: unixSeconds(), now: now)
            trouble = nil
        } catch {
            tell(error)
        }
        owed.removeAll { item in
            guard kick(item) else { return false }
            logger.notice("sessions ended", metadata: ["user": "\(item.name)", "reason": "\(item.reason)"])
            return true
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
                "forgotten_early": "\(counters.evicted)",
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
