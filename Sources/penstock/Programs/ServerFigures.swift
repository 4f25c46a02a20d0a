import Logging
import Primitives
import QuicTransport
import Server

/// What one loop of a server has counted, or all of them together.
struct ServerFigures: Sendable {
    var counters = ServerCounters()
    var datagrams = ServerDatagramCounters()
    /// Nil as long as no loop has been asked.
    var dials: DialCounters?
    var names = NameCounters()
    var datagramsDroppedForPath = 0
    var totals = ConnectionStatistics()
    var endpoint = QuicEndpoint.Counters()
    /// Blocks of the pools in use.
    var blocks = 0
    var connections: [(client: Endpoint, figures: ConnectionStatistics)] = []

    mutating func add(_ other: ServerFigures) {
        counters.add(other.counters)
        datagrams.add(other.datagrams)
        if dials == nil { dials = other.dials } else if let others = other.dials { dials?.add(others) }
        names.add(other.names)
        datagramsDroppedForPath += other.datagramsDroppedForPath
        totals.add(other.totals)
        endpoint.add(other.endpoint)
        blocks += other.blocks
        connections += other.connections
    }

    func log(to logger: Logger) {
        logger.info(
            "statistics",
            metadata: [
                "migrations": "\(totals.migrations)", "black_holes": "\(totals.blackHoles)",
                "paths_failed": "\(totals.pathsFailed)",
                "key_updates": "\(totals.keyUpdates)", "tokens_given": "\(totals.tokensGiven)",
                "tokens_known": "\(endpoint.knownTokens)", "retries_sent": "\(endpoint.retriesSent)",
                "resets_sent": "\(endpoint.statelessResetsSent)", "refused": "\(endpoint.refused)",
                "rare_frames": "\(totals.rareFramesReceived)", "limits_exceeded": "\(totals.limitsExceeded)",
                "library_bytes": "\(totals.libraryMemory)",
                "quic_lost": "\(totals.lostPackets)", "flows_abandoned": "\(counters.flowsAbandoned)",
                "connections_open": "\(counters.connectionsOpen)", "newcomers_dropped": "\(counters.newcomersDropped)",
                "flows_ended_by_destinations": "\(counters.flowsEndedByDestinations)",
                "connections_accepted": "\(counters.connectionsAccepted)",
                "authentication_failures": "\(counters.authenticationFailures)",
                "logins": "\(counters.logins)", "logins_admitted": "\(counters.loginsAdmitted)",
                "logins_refused": "\(counters.loginsRefused + counters.loginsRefusedByLimit)",
                "logins_timed_out": "\(counters.loginsTimedOut)", "rekeys": "\(counters.rekeys)",
                "flows_open": "\(counters.flowsOpen)", "flows_opened": "\(counters.flowsOpened)",
                "dials": "\(counters.dials)", "dials_succeeded": "\(counters.dialsSucceeded)",
                "dials_failed": "\(counters.dialsFailed)", "dials_denied": "\(counters.dialsDenied)",
                "flows_reset": "\(counters.flowsReset)", "bytes_sealed": "\(counters.bytesSealed)",
                "bytes_opened": "\(counters.bytesOpened)", "sealing_failures": "\(counters.sealingFailures)",
                "blocks": "\(blocks)", "flows_refused": "\(counters.flowsRefusedByLimit)",
                "flows_cut_by_user_limit": "\(counters.flowsCutByUserLimit)", "rate_waits": "\(counters.rateWaits)",
                "sessions_kicked": "\(counters.sessionsKicked)", "datagrams_over_rate": "\(datagrams.droppedForRate)",
                "associations_open": "\(datagrams.associationsOpen)",
                "associations_opened": "\(datagrams.associationsOpened)",
                "associations_expired": "\(datagrams.associationsExpired)",
                "associations_refused": "\(datagrams.associationsRefusedByLimit)",
                "datagrams_sent": "\(datagrams.sent)", "datagrams_received": "\(datagrams.received)",
                "datagrams_streamed": "\(datagrams.streamed)", "datagrams_denied": "\(datagrams.denied)",
                "datagrams_failed": "\(datagrams.failures)", "datagrams_unsolicited": "\(datagrams.unsolicited)",
                "datagrams_dropped":
                    "\(datagrams.droppedForOutbox + datagrams.droppedForStream + datagramsDroppedForPath)",
                "datagrams_without_association": "\(datagrams.withoutAssociation)",
                "datagrams_unsealable": "\(datagrams.unsealable)", "datagrams_replayed": "\(datagrams.replayed)",
            ])
        logger.info(
            "names",
            metadata: [
                "requests": "\(names.requests)", "queries": "\(names.queries)", "hits": "\(names.hits)",
                "joined": "\(names.joined)", "unknown": "\(names.unknown)", "failed": "\(names.failed)",
                "denied": "\(names.addressesDenied)", "refused": "\(names.refusedByLimit)",
                "waiting_refused": "\(names.waitingRefusedByLimit)", "entries": "\(names.entries)",
                "evicted": "\(names.evicted)", "open": "\(names.queriesOpen)", "attempts": "\(names.attempts)",
                "attempts_beaten": "\(names.attemptsBeaten)", "attempts_put_off": "\(names.attemptsPutOff)",
            ])
        for (part, count) in dials?.list ?? [] {
            logger.info("policy", metadata: ["by": "\(part)", "count": "\(count)"])
        }
        for (client, figures) in connections {
            logger.info("connection", metadata: ["client": "\(client)", "figures": "\(figures)"])
        }
    }
}
