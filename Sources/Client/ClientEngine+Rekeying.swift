import Primitives
import Sealing
import Tunnel

/// When the client makes fresh keys, and how far it is with it.
struct RekeySchedule {
    /// The next key exchange begins then, if as many bytes have not brought it about before.
    var due: Instant
    /// Not before then, however many bytes have gone.
    var earliest: Instant
    /// The server is to answer the one under way until then.
    var answerDeadline: Instant?
    /// Secrets of former epochs are wiped then.
    var wipe: Instant?

    init(now: Instant, settings: ClientSettings) {
        due = now + settings.rekeyInterval
        earliest = now + settings.rekeyPause
    }

    var deadline: Instant? { Primitives.earliest(answerDeadline ?? due, wipe) }
}

/// Fresh keys while flows go on: the client asks for them by time and by bytes, over the control stream.
extension ClientEngine {
    /// Called by `handleTimeout`.
    func rekeyIfDue(now: Instant) {
        guard case .up(let connection, let session) = link, let schedule = rekeys else { return }
        if let wipe = schedule.wipe, wipe <= now {
            session.keys.wipeOld()
            // Where streams have yet to move on, a former one is still needed.
            rekeys?.wipe = session.keys.count > 1 ? now + settings.oldKeyTime : nil
        }
        if let deadline = schedule.answerDeadline {
            guard deadline <= now else { return }
            close(connection, .protocolViolation, "no answer to a key exchange")
            return lose("the server did not answer a key exchange in time", now: now)
        }
        if schedule.due <= now { beginRekey() }
    }

    /// Called whenever something is about to be sent: as many bytes as that may have gone either way.
    @inline(__always)
    func rekeyIfSpent() {
        guard case .up(_, let session) = link, session.keys.bytesOfNewest >= settings.rekeyBytes,
            let schedule = rekeys, schedule.answerDeadline == nil, schedule.earliest <= last
        else { return }
        beginRekey()
    }

    /// The keys of the connection, while the tunnel is up.
    var sessionKeys: SessionKeys? {
        if case .up(_, let session) = link { session.keys } else { nil }
    }

    private func beginRekey() {
        guard case .up(let connection, let session) = link else { return }
        do throws(ControlError) {
            let message = try session.control.beginRekey()
            say(message, connection, session)
            rekeys?.answerDeadline = last + settings.rekeyTimeout
        } catch {
            close(connection, .internalError, "control stream: \(error)")
        }
    }

    /// The server has answered: the next epoch begins.
    func finishRekey(_ message: [UInt8]) {
        guard case .up(let connection, let session) = link else { return }
        do throws(ControlError) {
            say(try session.control.finishRekey(message), connection, session)
            counters.rekeys += 1
            var schedule = RekeySchedule(now: last, settings: settings)
            // The former wipe waits for this one: what came in between is on its way, too.
            schedule.wipe = last + settings.oldKeyTime
            rekeys = schedule
        } catch {
            close(connection, .authenticationFailed, "control stream: \(error)")
        }
    }
}
