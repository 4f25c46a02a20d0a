import CNgtcp2
import Primitives

/// How the wish to move to another local address was answered.
public enum MigrationStart: Hashable, Sendable {
    /// Packets leave from the new address from now on. `ConnectionEvent.pathValidated` or `.pathFailed` follows.
    case started
    /// Not yet: the handshake is not confirmed (RFC 9000, section 9), or the peer has not given another connection ID to
    /// use there (section 9.5). Ask again after the next datagram.
    case notYet
    /// The connection is there already.
    case unchanged
    /// Never: a server cannot move, the peer forbids it, or the connection is over.
    case impossible
}

extension QuicConnection {
    /// Moves a client's connection to another local address at once; the path is validated meanwhile (RFC 9000, section 9).
    /// A validation that is under way for an earlier move is given up.
    public func migrate(to local: Endpoint, now: Instant) -> MigrationStart {
        let time = advance(to: now)
        guard !isServer, !isInside, pendingClose == nil, state == .handshaking || state == .established else {
            return .impossible
        }
        guard state == .established, let peer = ngtcp2_conn_get_remote_transport_params(native) else { return .notYet }
        guard peer.pointee.disable_active_migration == 0 else { return .impossible }
        let path = NetworkPath(local: local, remote: remote)
        switch ngtcp2_conn_initiate_immediate_migration(native, path.pointer, time) {
        case 0:
            counters.migrations += 1
            blackHole = BlackHoleWatch()
            return .started
        case NGTCP2_ERR_INVALID_STATE, NGTCP2_ERR_CONN_ID_BLOCKED:
            // Whether the handshake is confirmed cannot be asked otherwise.
            return .notYet
        case NGTCP2_ERR_INVALID_ARGUMENT:
            return .unchanged
        default:
            return .impossible
        }
    }

    static func addPaths(_ callbacks: inout ngtcp2_callbacks) {
        callbacks.path_validation = { _, _, path, result, user in
            guard let user, let path else { return 0 }
            Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.pathChecked(path, result) }
            return 0
        }
    }

    /// Only a client is told: a server has nothing to do but to go on.
    private func pathChecked(_ path: UnsafePointer<ngtcp2_path>, _ result: ngtcp2_path_validation_result) {
        var local = cngtcp2_endpoint()
        var remote = cngtcp2_endpoint()
        cngtcp2_path_get(path, &local, &remote)
        switch result {
        case NGTCP2_PATH_VALIDATION_RESULT_SUCCESS:
            counters.pathsValidated += 1
            leaveToken(for: Endpoint(remote))
            provenRemote = Endpoint(remote)
            if !isServer { events.append(.pathValidated(local: Endpoint(local))) }
        case NGTCP2_PATH_VALIDATION_RESULT_FAILURE:
            counters.pathsFailed += 1
            if !isServer { events.append(.pathFailed(local: Endpoint(local))) }
        default:
            break  // given up for another one
        }
    }

    // MARK: The server's side

    /// Whether a server takes a datagram from this path at this moment.
    func admits(from remote: Endpoint, to local: Endpoint) -> Bool {
        guard gate != nil else { return true }
        let path = PathGate.Path(remote: remote, local: local)
        if gate!.current == path, !gate!.isActive { return true }
        guard var gate else { return true }
        noteCurrentPath()
        gate = self.gate ?? gate
        let before = gate
        let admitted = gate.admits(path, now: latest, patience: pathPatience)
        if gate != before {
            gateBefore = before
            _ = cngtcp2_take_opened()
        }
        self.gate = gate
        if !admitted { counters.datagramsFromOtherPaths += 1 }
        return admitted
    }

    /// A datagram from a new address has been read: when no key opened it, nobody came.
    func settleGate() {
        if cngtcp2_take_opened() == 0 {
            gate = gateBefore
            counters.datagramsFromOtherPaths += 1
        }
        gateBefore = nil
    }

    /// Keeps the gate in step with ngtcp2, after it has read a datagram or before the gate is asked.
    func noteCurrentPath() {
        guard gate?.isActive == true, let path = ngtcp2_conn_get_path(native) else { return }
        var local = cngtcp2_endpoint()
        var remote = cngtcp2_endpoint()
        cngtcp2_path_get(path, &local, &remote)
        let current = PathGate.Path(remote: Endpoint(remote), local: Endpoint(local))
        guard gate!.moved(to: current, now: latest, patience: pathPatience) else { return }
        counters.migrations += 1
        blackHole = BlackHoleWatch()
    }

    /// Longer than any validation of ngtcp2 lives. It ends three probe timeouts after its start, or when its last challenge
    /// has run out: the second one, which may be sent just before that end, has two more.
    private var pathPatience: Interval {
        let timeout = Interval.nanoseconds(Int64(clamping: ngtcp2_conn_get_pto(native)))
        return max(timeout, PathGate.initialProbeTimeout) * 5
    }
}
