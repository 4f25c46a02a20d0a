import FlowNAT
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// UDP: FlowNAT's associations, each with a stream, and their datagrams, which travel in QUIC datagrams where they fit
/// and as records on the stream where they do not, or while the server has not answered.
extension ClientEngine {
    // MARK: - Up

    /// A datagram of an application, inside `nat.handle`: FlowNAT is not to be touched.
    func carry(_ payload: UnsafeRawBufferPointer, of id: AssociationID, to destination: Endpoint) {
        guard case .up(let connection, let session) = link else {
            datagramCounters.droppedWithoutTunnel += 1
            // Told at once, so that a resolver need not wait: also the one that looks up the server's own name.
            pendingRejection = (id, destination, .networkUnreachable)
            return
        }
        guard let association = association(id, to: destination, connection, session) else {
            datagramCounters.droppedWithoutTunnel += 1
            return
        }
        switch association.phase {
        case .refused(let reason, _):
            pendingRejection = (id, destination, reason)
        case .opening:
            stream(payload, to: destination, association, limit: settings.maximumEarlyDatagramBytes)
        case .open:
            if let space = connection.datagramSpace(association.channel.sealedSize(payload.count, destination)) {
                guard let count = association.channel.seal(payload, destination, into: space) else {
                    return endStream(of: association)
                }
                connection.sendDatagram(count, now: last)
                datagramCounters.sent += 1
                counters.bytesSealed += UInt64(payload.count)
            } else {
                stream(payload, to: destination, association, limit: settings.maximumStreamedDatagramBytes)
            }
        }
    }

    /// The association as it stands, or a new one for the application's first datagram, or the first after a refusal.
    private func association(
        _ id: AssociationID, to destination: Endpoint, _ connection: QuicConnection, _ session: Session
    ) -> ClientAssociation? {
        if let present = associations[id.index] {
            var isSpent = present.id != id
            if case .refused(_, let until) = present.phase, until <= last { isSpent = true }
            if !isSpent { return present }
            endStream(of: present)
        }
        guard let stream = connection.openStream() else { return nil }
        stream.context = Self.associationContext
        let sealed = FlowStream(keys: session.keys, stream: stream.id.rawValue, role: .client)
        let channel = DatagramChannel(
            keys: session.keys, stream: stream.id.rawValue, role: .client, requested: destination)
        let association = ClientAssociation(id: id, stream: stream, sealed: sealed, channel: channel, pool: pool)
        associations.insert(association)
        datagramCounters.associationsOpened += 1
        counters.streamsOpened += 1
        let request = FlowRequest(.udp, to: .endpoint(destination))
        guard sealed.send(message: request.encode(), to: stream) else {
            cutStream(of: association)
            return nil
        }
        return association
    }

    /// Sends a datagram as a record. A stream cannot drop its oldest, so what exceeds the limit is dropped itself.
    private func stream(
        _ payload: UnsafeRawBufferPointer, to destination: Endpoint, _ association: ClientAssociation, limit: Int
    ) {
        let waiting = association.stream.buffered
        guard payload.count <= DatagramMessage.maximumPayload, waiting == 0 || waiting + payload.count <= limit,
            association.stream.isWritable
        else {
            datagramCounters.droppedForStream += 1
            return
        }
        let count = association.channel.writeRecord(payload, destination, to: datagramMemory)
        let record = UnsafeRawBufferPointer(rebasing: datagramMemory[..<count])
        // Half a record would make nonsense of all that follow.
        guard association.sealed.seal(record, to: association.stream) == count else {
            return cutStream(of: association)
        }
        datagramCounters.streamed += 1
        counters.bytesSealed += UInt64(payload.count)
    }

    /// Tells the application what `carry` could not, after `nat.handle`.
    func carryOutRejection() {
        guard let (id, destination, reason) = pendingRejection else { return }
        pendingRejection = nil
        nat.rejectDatagram(id, to: destination, reason, now: last)
    }

    // MARK: - Down

    /// A QUIC datagram of the server.
    func receive(datagram: UnsafeRawBufferPointer) {
        guard let stream = DatagramFormat.stream(of: datagram), let association = associations.find(stream: stream)
        else {
            // Of an association that has ended here, as a rule.
            datagramCounters.withoutAssociation += 1
            return
        }
        do throws(DatagramRefusal) {
            guard let (message, count) = try association.channel.open(datagram, into: datagramMemory) else { return }
            deliver(message, count, association)
        } catch {
            datagramCounters.note(error)
        }
    }

    /// Opened bytes of an association's stream: the reply, then records.
    func receive(_ bytes: UnsafeRawBufferPointer, of association: ClientAssociation, _ connection: QuicConnection) {
        do throws(OpenError) {
            let reply = try association.sealed.open(bytes, into: &association.queue)
            if let reply { answer(association, reply) }
        } catch {
            counters.sealingFailures += 1
            return cutStream(of: association)
        }
        do throws(MessageError) {
            records: while associations[association.id.index] === association {
                switch try association.channel.nextRecord(
                    from: &association.queue, into: datagramMemory)
                {
                case .incomplete: break records
                case .unknown: continue
                case .message(let message, let count): deliver(message, count, association)
                }
            }
        } catch {
            counters.sealingFailures += 1
            return cutStream(of: association)
        }
        let held = association.queue.count + association.queue.staged
        connection.extendCredit(on: association.stream, by: association.sealed.newCredit(held: held))
    }

    /// - Parameter count: bytes of payload at the start of `datagramMemory`.
    private func deliver(_ message: DatagramMessage, _ count: Int, _ association: ClientAssociation) {
        switch message {
        case .payload(let remote):
            datagramCounters.received += 1
            counters.bytesOpened += UInt64(count)
            let payload = UnsafeRawBufferPointer(rebasing: datagramMemory[..<count])
            _ = nat.sendDatagram(association.id, from: remote, payload)
        case .failure(let destination, let code):
            datagramCounters.failures += 1
            if let reason = code.rejection { nat.rejectDatagram(association.id, to: destination, reason, now: last) }
        }
    }

    /// The server's answer to the request.
    private func answer(_ association: ClientAssociation, _ message: [UInt8]) {
        guard case .opening = association.phase, let reply = try? FlowReply(parsing: message) else {
            counters.sealingFailures += 1
            return cutStream(of: association)
        }
        guard let reason = reply.code.rejection else {
            association.phase = .open
            return
        }
        datagramCounters.associationsRefused += 1
        association.phase = .refused(reason, until: last + settings.refusedAssociationPause)
        nat.rejectDatagram(association.id, to: association.channel.requested, reason, now: last)
        resetStream(of: association)
    }

    // MARK: - Ends

    /// What streams of associations have for a context, where flows have their number.
    static let associationContext = -2

    /// The association of a stream that still has one.
    func association(of stream: QuicStream) -> ClientAssociation? {
        guard stream.context == Self.associationContext else { return nil }
        return associations.find(stream: stream.id.rawValue)
    }

    /// FlowNAT has ended the association.
    func associationEnded(_ id: AssociationID) {
        guard let association = associations[id.index], association.id == id else { return }
        endStream(of: association)
    }

    /// Ends an association's stream in order: the server then closes its socket.
    func endStream(of association: ClientAssociation) {
        if case .refused = association.phase {} else { connection?.finish(association.stream) }
        associations.remove(association)
    }

    /// The server has ended the stream, or what it sent cannot be used.
    func cutStream(of association: ClientAssociation) {
        resetStream(of: association)
        associations.remove(association)
    }

    private func resetStream(of association: ClientAssociation) {
        guard let connection else { return }
        connection.reset(association.stream, code: TunnelErrorCode.flowReset.rawValue)
        connection.stopReceiving(association.stream, code: TunnelErrorCode.flowReset.rawValue)
    }
}
