import CNgtcp2
import Primitives

/// One packet kept for the next batch.
struct HeldPacket {
    static let capacity = 1500
    let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    var count = 0
    var ecn: UInt8 = 0
    var local: Endpoint
    var remote: Endpoint

    init(local: Endpoint, remote: Endpoint) {
        self.local = local
        self.remote = remote
    }
}

// Packets going out.

extension QuicConnection {
    /// Writes packets of equal size, end to end, for one `sendmsg` with UDP_SEGMENT.
    ///
    /// Respects congestion control and pacing; call it again until it gives nil.
    /// - Parameter buffer: at least 1500 bytes.
    /// - Returns: nil when there is nothing to send now.
    public func nextBatch(into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> OutgoingBatch? {
        let time = advance(to: now)
        switch state {
        case .handshaking, .established: break
        case .closing: return farewellBatch(into: buffer)
        case .draining, .closed: return nil
        }
        if held.count > 0 { return heldBatch(into: buffer) }
        datagrams.dropLate(now: latest)
        if datagrams.isEmpty { schedule.rest(datagramTurn) }
        readNativeStatistics()
        // Bytes in flight lie in the pool until they are acknowledged. More of them could leave none for others, who would
        // have to be reset; the acknowledgements that let go on come by themselves.
        isWindowBlocked = pool.isShort && nativeStatistics.pointee.bytes_in_flight > Self.alwaysInFlight
        isPaced = schedule.waiting > 0 && !pacer.allows(latest)
        let timeout = Interval.nanoseconds(Int64(clamping: ngtcp2_conn_get_pto(native)))
        if blackHole.check(probeTimeout: timeout, now: latest) { counters.blackHoles += 1 }
        let inFlight = nativeStatistics.pointee.bytes_in_flight
        let batch = fill(buffer, time: time)
        if batch != nil {
            ngtcp2_conn_get_conn_stat(native, nativeStatistics)
            noteDeparture(Int(clamping: nativeStatistics.pointee.bytes_in_flight) - Int(clamping: inFlight))
        } else {
            if inFlight == 0 { blackHole.nothingInFlight() }
            heldBack = isPaced ? .byPacer : schedule.waiting > 0 && !isWindowBlocked ? .byWindow : .byNothing
        }
        settleClose()
        if batch == nil, state == .closing { return farewellBatch(into: buffer) }
        return batch
    }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer, time: UInt64) -> OutgoingBatch? {
        let capacity = blackHole.isSmall ? TransportSettings.minimumUDPPayload : settings.packetCapacity
        let payload = max(pathPayload, 1)
        let limit = min(max(burst / payload, 1), Self.maximumBatchPackets)
        let room = min(buffer.count, Self.maximumBatchBytes)
        var batch: OutgoingBatch?
        var packets = 0
        while packets < limit, pendingClose == nil, state == .handshaking || state == .established {
            let written = batch?.count ?? 0
            guard written + capacity <= room, let base = buffer.baseAddress else { break }
            let count = writePacket(at: base + written, capacity: capacity, time: time)
            guard count > 0 else { break }
            packets += 1
            counters.packetsSent += 1
            counters.bytesSent += count
            // What is larger than the path is known to carry is a probe, of which nobody expects that it arrives.
            if count > TransportSettings.minimumUDPPayload, count <= payload { blackHole.sentLarge(now: latest) }
            let ecn = UInt8(packetInfo.pointee.ecn & 3)
            let moved = departurePath.set(
                UnsafeMutableRawPointer(scratchPath).assumingMemoryBound(to: ngtcp2_path.self))
            guard let started = batch else {
                batch = OutgoingBatch(
                    count: count, segmentSize: count, remote: departurePath.remote, local: departurePath.local, ecn: ecn
                )
                continue
            }
            if count > started.segmentSize || ecn != started.ecn || moved {
                hold(base + written, count: count, ecn: ecn)
                break
            }
            batch?.count += count
            if count < started.segmentSize { break }
        }
        // Once for all: what the owner then adds goes into the next batch.
        reportSent()
        return batch
    }

    /// One packet, filled from as many streams and datagrams as fit.
    /// - Returns: its size; 0 when nothing can or need be sent.
    private func writePacket(at destination: UnsafeMutableRawPointer, capacity: Int, time: UInt64) -> Int {
        let bytes = destination.assumingMemoryBound(to: UInt8.self)
        let path = UnsafeMutableRawPointer(scratchPath).assumingMemoryBound(to: ngtcp2_path.self)
        isInside = true
        defer { isInside = false }
        while true {
            let result: Int
            switch state == .established ? nextSender() : nil {
            case let sender? where sender === datagramTurn:
                result = writeDatagram(bytes, capacity, path, time)
            case let stream?:
                result = writeStream(stream, bytes, capacity, path, time)
            case nil:
                result = writeControl(bytes, capacity, path, time)
                if result < 0 { fail(Int32(truncatingIfNeeded: result)) }
                return max(result, 0)
            }
            if result >= 0 { return result }
            if result != Int(NGTCP2_ERR_WRITE_MORE) {
                fail(Int32(truncatingIfNeeded: result))
                return 0
            }
        }
    }

    /// Writes what is neither a stream's nor a datagram's: acknowledgements, windows, lost frames again.
    ///
    /// A write without a stream while the window has room means to ngtcp2 that the application has nothing to send, so it
    /// takes what is in flight for no sample of the path (draft-cheng-iccrg-delivery-rate-estimation, section 3.4). Said
    /// whenever the pacer held something back, it kept BBR in its start for as long as a transfer took. What waits is
    /// therefore offered, as a datagram that no packet has room for: the one write that says so and takes nothing. Not so when
    /// nothing has been heard for a probe timeout: only a plain write puts what was lost into the probe (RFC 9002, section 6.2.4).
    private func writeControl(
        _ bytes: UnsafeMutablePointer<UInt8>, _ capacity: Int, _ path: UnsafeMutablePointer<ngtcp2_path>, _ time: UInt64
    ) -> Int {
        if isPaced, !losesWithoutCongestion, nativeStatistics.pointee.pto_count == 0,
            peerDatagramLimit >= capacity + Self.datagramFrameOverhead
        {
            vectors[0] = ngtcp2_vec(base: bytes, len: capacity)
            return ngtcp2_conn_writev_datagram(
                native, path, packetInfo, bytes, capacity, nil, UInt32(NGTCP2_WRITE_DATAGRAM_FLAG_NONE), 0, vectors, 1,
                time)
        }
        return ngtcp2_conn_writev_stream(
            native, path, packetInfo, bytes, capacity, nil, UInt32(NGTCP2_WRITE_STREAM_FLAG_NONE), -1, nil, 0, time)
    }

    /// Whose turn it is. Datagrams need no window, so they go on where streams must wait for it.
    private func nextSender() -> QuicStream? {
        if isPaced { return nil }
        if isWindowBlocked { return datagrams.isEmpty ? nil : datagramTurn }
        return schedule.next()
    }

    /// - Returns: a packet's size, 0, NGTCP2_ERR_WRITE_MORE to go on with the same packet, or an error.
    private func writeStream(
        _ stream: QuicStream, _ bytes: UnsafeMutablePointer<UInt8>, _ capacity: Int,
        _ path: UnsafeMutablePointer<ngtcp2_path>, _ time: UInt64
    ) -> Int {
        // No packet takes more than its own size, so a stream gets one packet's worth a turn.
        let offer = stream.queue.unreadRegions(limit: capacity, into: regions)
        // ngtcp2 does not say that the window of the whole connection is used up, so the turn would never end.
        if offer.bytes > 0, ngtcp2_conn_get_max_data_left(native) == 0 {
            isWindowBlocked = true
            return Int(NGTCP2_ERR_WRITE_MORE)
        }
        for index in 0..<offer.count {
            let region = regions[index]
            vectors[index] = ngtcp2_vec(
                base: UnsafeMutableRawPointer(mutating: region.baseAddress!).assumingMemoryBound(to: UInt8.self),
                len: region.count)
        }
        let finishes = stream.sendState == .finishing && offer.bytes == stream.queue.unread
        var flags = finishes ? UInt32(NGTCP2_WRITE_STREAM_FLAG_FIN) : UInt32(NGTCP2_WRITE_STREAM_FLAG_NONE)
        if schedule.waiting > 1 { flags |= UInt32(NGTCP2_WRITE_STREAM_FLAG_MORE) }
        var taken: ngtcp2_ssize = -1
        let result = ngtcp2_conn_writev_stream(
            native, path, packetInfo, bytes, capacity, &taken, flags, stream.id.rawValue, vectors, offer.count, time)
        if taken >= 0 { noteTaken(stream, taken, finished: finishes && taken == offer.bytes) }
        switch result {
        case Int(NGTCP2_ERR_STREAM_DATA_BLOCKED):
            stream.isBlocked = true
            schedule.remove(stream)
            return Int(NGTCP2_ERR_WRITE_MORE)
        case Int(NGTCP2_ERR_STREAM_SHUT_WR), Int(NGTCP2_ERR_STREAM_NOT_FOUND):
            // Stopped by a peer whose frame was not seen; the owner learns of it from here.
            schedule.remove(stream)
            pendingStops.append(stream)
            return Int(NGTCP2_ERR_WRITE_MORE)
        default:
            return result
        }
    }

    private func writeDatagram(
        _ bytes: UnsafeMutablePointer<UInt8>, _ capacity: Int, _ path: UnsafeMutablePointer<ngtcp2_path>, _ time: UInt64
    ) -> Int {
        let datagram = datagrams.first
        let limit = maximumDatagramSize
        guard datagram.count <= limit else {
            dropDatagram()
            return Int(NGTCP2_ERR_WRITE_MORE)
        }
        // Of several datagrams, the next is offered to this packet only where it fits as well.
        let next = datagrams.secondCount
        let more = next.map { datagram.count + $0 + 3 <= limit } ?? (schedule.waiting > 1)
        let flags = more ? UInt32(NGTCP2_WRITE_DATAGRAM_FLAG_MORE) : UInt32(NGTCP2_WRITE_DATAGRAM_FLAG_NONE)
        var accepted: Int32 = 0
        // ngtcp2 asserts that no vector is empty.
        vectors[0] = ngtcp2_vec(
            base: UnsafeMutableRawPointer(mutating: datagram.baseAddress!).assumingMemoryBound(to: UInt8.self),
            len: datagram.count)
        let result = ngtcp2_conn_writev_datagram(
            native, path, packetInfo, bytes, capacity, &accepted, flags, UInt64(datagram.count), vectors,
            datagram.isEmpty ? 0 : 1, time)
        if accepted != 0 {
            datagrams.removeFirst()
            counters.datagramsSent += 1
            schedule.charge(datagramTurn, datagram.count)
            if datagrams.isEmpty { schedule.rest(datagramTurn) }
        }
        switch result {
        case Int(NGTCP2_ERR_INVALID_STATE), Int(NGTCP2_ERR_INVALID_ARGUMENT):
            dropDatagram()
            return Int(NGTCP2_ERR_WRITE_MORE)
        default:
            return result
        }
    }

    private func dropDatagram() {
        datagrams.removeFirst()
        counters.datagramsDropped += 1
        if datagrams.isEmpty { schedule.rest(datagramTurn) }
    }

    private func noteTaken(_ stream: QuicStream, _ taken: Int, finished: Bool) {
        stream.queue.advanceMark(taken)
        if finished { stream.sendState = .finished }
        schedule.charge(stream, taken)
        if !stream.hasWork { schedule.rest(stream) }
        guard taken > 0 else { return }
        if stream.justSent == 0 {
            stream.nextSent = firstSent
            firstSent = stream
        }
        stream.justSent += taken
    }

    /// Tells the owner what the packet just written has taken, now that ngtcp2 is in a state that allows commands.
    private func reportSent() {
        while let stream = pendingStops.popLast() {
            if isUsable { stop(stream, code: 0) }
        }
        // The owner may end the connection in the midst of it, which empties the list.
        while let stream = firstSent {
            firstSent = stream.nextSent
            let count = stream.justSent
            stream.justSent = 0
            stream.nextSent = nil
            if isUsable { owner?.connection(self, sent: count, on: stream) }
        }
    }

    // MARK: Packets written before

    private func hold(_ packet: UnsafeMutableRawPointer, count: Int, ecn: UInt8) {
        held.memory.copyMemory(from: packet, byteCount: count)
        held.count = count
        held.ecn = ecn
        held.local = departurePath.local
        held.remote = departurePath.remote
    }

    private func heldBatch(into buffer: UnsafeMutableRawBufferPointer) -> OutgoingBatch? {
        guard buffer.count >= held.count, let base = buffer.baseAddress else { return nil }
        base.copyMemory(from: held.memory, byteCount: held.count)
        defer { held.count = 0 }
        return OutgoingBatch(
            count: held.count, segmentSize: held.count, remote: held.remote, local: held.local, ecn: held.ecn)
    }

    private func farewellBatch(into buffer: UnsafeMutableRawBufferPointer) -> OutgoingBatch? {
        guard let farewell, farewell.isDue, buffer.count >= farewell.packet.count else { return nil }
        self.farewell?.isDue = false
        farewell.packet.withUnsafeBytes { buffer.copyMemory(from: $0) }
        counters.packetsSent += 1
        counters.bytesSent += farewell.packet.count
        return OutgoingBatch(
            count: farewell.packet.count, segmentSize: farewell.packet.count, remote: departurePath.remote,
            local: departurePath.local, ecn: farewell.ecn)
    }
}
