import Primitives
import QuicTransport
import Tunnel

/// Certificates of clients whose sessions go on: what is revoked, and what expires.
extension ServerEngine {
    /// Sends a client away whose certificate is not good by what holds now.
    /// - Returns: whether it was sent away.
    func refuseBadCertificate(_ session: ServerSession) -> Bool {
        guard let complaint = session.connection.certificateComplaint(under: settings.identity) else { return false }
        refuseCertificate(session, complaint)
        return true
    }

    private func refuseCertificate(_ session: ServerSession, _ complaint: String) {
        counters.certificatesRefused += 1
        append(
            .log(
                .certificateRefused(
                    session.connection.validatedRemote, name: session.connection.peerCertificate?.commonName ?? "",
                    reason: complaint)))
        close(session, .authenticationFailed, "the client's certificate is refused: \(complaint)")
        end(session, reason: "certificate refused: \(complaint)")
    }

    // MARK: - Expiry

    /// What the wall clock shows, which certificates have their dates by. To be told before the first datagram, and about once a second
    /// while there is something to do: somebody may set the clock.
    /// - Parameter unixSeconds: seconds since 1970, UTC.
    public func setWallTime(_ unixSeconds: Int64, now: Instant) {
        last = now
        let former = wallTime
        wallTime = (unixSeconds, now)
        // Whole seconds: the clock has run on by itself if it is at most one off.
        if let former, abs((now - former.at).seconds - Double(unixSeconds - former.unixSeconds)) < 2 { return }
        for session in sessions {
            guard let session, session.certificateEnd != nil else { continue }
            noteExpiry(session)
            markDirty(session)
        }
    }

    /// The client's certificate was found good: the session ends with it, or with the first of those that vouch for it.
    func noteExpiry(_ session: ServerSession) {
        guard let expires = session.connection.peerCertificate?.expires, let wallTime else { return }
        session.certificateEnd = wallTime.at + .seconds(expires - wallTime.unixSeconds)
    }

    /// - Returns: whether the session has ended.
    func refuseExpiredCertificate(_ session: ServerSession) -> Bool {
        guard let end = session.certificateEnd, end <= last else { return false }
        session.certificateEnd = nil
        refuseCertificate(session, "it has expired")
        return true
    }
}
