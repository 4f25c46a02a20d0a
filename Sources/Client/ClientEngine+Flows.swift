import FlowNAT
import Primitives
import QuicTransport
import Tunnel

/// Flows of FlowNAT, each with its stream.
extension ClientEngine {
    func flow(_ id: FlowID) -> ClientFlow? {
        guard id.index < flows.count, let flow = flows[id.index], flow.id == id else { return nil }
        return flow
    }

    /// Bytes of an application, next in order: into the stream at once.
    func seal(_ bytes: UnsafeRawBufferPointer, of id: FlowID) -> Int {
        guard let flow = flow(id), !flow.isStreamOver else { return bytes.count }
        let taken = flow.sealed.seal(bytes, to: flow.stream)
        counters.bytesSealed += UInt64(taken)
        return taken
    }

    func carryOutFlowEvents() {
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, let addresses):
                open(id, addresses)
            case .established:
                counters.flowsConnected += 1
            case .finished(let id):
                if let flow = flow(id), let connection, !flow.isStreamOver { connection.finish(flow.stream) }
            case .drained(let id, _):
                if let flow = flow(id) { extendCredit(flow) }
            case .reset(let id):
                counters.flowsReset += 1
                if let flow = flow(id) {
                    resetStream(flow)
                    endFlow(flow)
                }
            case .closed(let id):
                if let flow = flow(id) { endFlow(flow) }
            case .associationEnded(let id):
                associationEnded(id)
            case .datagramRefused:
                break  // the far end has no use for it: its socket is ours
            }
        }
    }

    private func open(_ id: FlowID, _ addresses: FlowAddresses) {
        // A SYN that is dropped comes again, by then perhaps on another connection.
        guard case .up(let connection, let session) = link, !isServerDraining, let stream = connection.openStream()
        else {
            counters.droppedWithoutTunnel += 1
            nat.reject(id, .silence)
            return
        }
        let sealed = FlowStream(keys: session.keys, stream: stream.id.rawValue, role: .client)
        let flow = ClientFlow(id: id, stream: stream, sealed: sealed)
        stream.context = id.index
        while flows.count <= id.index { flows.append(nil) }
        if let former = flows[id.index] {
            // The application gave up that attempt and began another from the same port; FlowNAT has forgotten it.
            resetStream(former)
            endFlow(former)
        }
        flows[id.index] = flow
        counters.flowsOpen += 1
        counters.flowsOpened += 1
        counters.streamsOpened += 1
        let request = FlowRequest(.connect, to: .endpoint(addresses.destination))
        if !sealed.send(message: request.encode(), to: stream) {
            nat.reject(id, .silence)
            resetStream(flow)
            endFlow(flow)
        }
    }

    func extendCredit(_ flow: ClientFlow) {
        guard let connection, !flow.isStreamOver else { return }
        let credit = flow.sealed.newCredit(held: nat.heldBytes(flow.id))
        if credit > 0 { connection.extendCredit(on: flow.stream, by: credit) }
    }

    private func resetStream(_ flow: ClientFlow) {
        guard let connection, !flow.isStreamOver else { return }
        connection.reset(flow.stream, code: TunnelErrorCode.flowReset.rawValue)
        connection.stopReceiving(flow.stream, code: TunnelErrorCode.flowReset.rawValue)
    }

    /// The TCP side is over. The stream ends on its own, and nothing of it reaches the flow's place any more.
    private func endFlow(_ flow: ClientFlow) {
        guard !flow.isFlowOver else { return }
        flow.isFlowOver = true
        flows[flow.id.index] = nil
        flow.stream.context = -1
        counters.flowsOpen -= 1
    }

    /// The server cut the flow, or what it sent cannot be used.
    func cut(_ flow: ClientFlow) {
        guard !flow.isFlowOver else { return }
        counters.flowsReset += 1
        if flow.isConnected {
            nat.abort(flow.id)
        } else {
            nat.reject(flow.id, .silence)
        }
        resetStream(flow)
        endFlow(flow)
    }

    /// The server's answer to the request.
    func answer(_ flow: ClientFlow, _ message: [UInt8]) {
        guard let reply = try? FlowReply(parsing: message) else {
            counters.sealingFailures += 1
            return cut(flow)
        }
        guard let reason = reply.code.rejection else {
            flow.isConnected = true
            return nat.accept(flow.id)
        }
        counters.flowsRefused += 1
        nat.reject(flow.id, reason)
        resetStream(flow)
        endFlow(flow)
    }
}

extension FlowReplyCode {
    /// What the application is told; nil for success.
    var rejection: RejectReason? {
        switch self {
        case .succeeded: nil
        case .connectionRefused: .refused
        case .networkUnreachable: .networkUnreachable
        case .hostUnreachable: .hostUnreachable
        case .notAllowed, .commandNotSupported, .addressTypeNotSupported: .prohibited
        case .timedOut, .generalFailure, .tooManyFlows, .outOfResources, .shuttingDown: .silence
        }
    }
}
