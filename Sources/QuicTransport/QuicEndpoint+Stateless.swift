import CNgtcp2
import Primitives

/// A datagram that answers one without any state of it being kept.
struct StatelessAnswer {
    var bytes: [UInt8]
    var remote: Endpoint
    var local: Endpoint
}

extension QuicEndpoint {
    /// Retry, version negotiation, stateless reset or refusal, one datagram each.
    public func nextStatelessDatagram(into buffer: UnsafeMutableRawBufferPointer) -> OutgoingBatch? {
        guard let answer = answers.first, answer.bytes.count <= buffer.count else { return nil }
        answers.removeFirst()
        answer.bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
        return OutgoingBatch(
            count: answer.bytes.count, segmentSize: answer.bytes.count, remote: answer.remote, local: answer.local,
            ecn: 0)
    }

    /// RFC 9000, section 6.1. Small datagrams get no answer, so that nothing is amplified.
    func negotiateVersion(_ header: ngtcp2_version_cid, count: Int, from remote: Endpoint, to local: Endpoint) {
        guard count >= Int(NGTCP2_MAX_UDP_PAYLOAD_SIZE) else {
            counters.ignored += 1
            return
        }
        // A reserved version keeps clients honest about ignoring what they do not know (section 6.3).
        let versions: [UInt32] = [
            UInt32(truncatingIfNeeded: random.next()) & 0xF0F0_F0F0 | 0x0A0A_0A0A, UInt32(NGTCP2_PROTO_VER_V1),
        ]
        let written = answer(from: remote, to: local) { buffer in
            ngtcp2_pkt_write_version_negotiation(
                buffer.baseAddress, buffer.count, UInt8(truncatingIfNeeded: random.next()), header.scid, header.scidlen,
                header.dcid, header.dcidlen, versions, versions.count)
        }
        if written { counters.versionNegotiationsSent += 1 }
    }

    /// RFC 9000, section 10.3: shorter than what it answers, so that two endpoints without state do not play ping-pong.
    func resetStatelessly(_ identifier: ConnectionID, count: Int, from remote: Endpoint, to local: Endpoint) {
        let size = min(count - 1, 43)
        let tokenLength = Int(NGTCP2_STATELESS_RESET_TOKENLEN)
        guard size - tokenLength >= Int(NGTCP2_MIN_STATELESS_RESET_RANDLEN) else {
            counters.ignored += 1
            return
        }
        var token = [UInt8](repeating: 0, count: tokenLength)
        var native = identifier.native
        router.resetToken(for: &native, into: &token)
        let noise = random.bytes(size - tokenLength)
        let written = answer(from: remote, to: local) { buffer in
            ngtcp2_pkt_write_stateless_reset(buffer.baseAddress, buffer.count, token, noise, noise.count)
        }
        if written { counters.statelessResetsSent += 1 }
    }

    /// RFC 9000, section 8.1.2: the client must show that it receives what is sent to its address.
    func demandProof(_ arrival: InitialArrival, now: Instant) {
        let chosen = ConnectionID.random(loop: router.loop, using: random)
        guard let token = tokens.makeRetryToken(arrival, identifier: chosen, now: now) else { return }
        var identifier = chosen.native
        var destination = arrival.source.native
        var original = arrival.destination.native
        let written = answer(from: arrival.remote, to: arrival.local) { buffer in
            ngtcp2_crypto_write_retry(
                buffer.baseAddress, buffer.count, UInt32(NGTCP2_PROTO_VER_V1), &destination, &identifier, &original,
                token, token.count)
        }
        if written { counters.retriesSent += 1 }
    }

    /// CONNECTION_CLOSE in an Initial packet, without a connection.
    func refuse(_ arrival: InitialArrival, code: UInt64) {
        var destination = arrival.source.native
        var source = arrival.destination.native
        _ = answer(from: arrival.remote, to: arrival.local) { buffer in
            ngtcp2_crypto_write_connection_close(
                buffer.baseAddress, buffer.count, UInt32(NGTCP2_PROTO_VER_V1), &destination, &source, code, nil, 0)
        }
    }

    private func answer(
        from remote: Endpoint, to local: Endpoint, _ write: (UnsafeMutableBufferPointer<UInt8>) -> Int
    ) -> Bool {
        guard answers.count < limits.statelessAnswers else {
            counters.answersDropped += 1
            return false
        }
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(NGTCP2_MAX_UDP_PAYLOAD_SIZE)) { buffer, count in
            count = max(write(buffer), 0)
        }
        guard !bytes.isEmpty else { return false }
        answers.append(StatelessAnswer(bytes: bytes, remote: remote, local: local))
        return true
    }
}
