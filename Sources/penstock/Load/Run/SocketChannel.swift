import LinuxIO
import Load
import Primitives

/// A flow of the load on a TCP socket.
final class SocketChannel: FlowChannel, EventHandler {
    /// Bytes written, and bytes read, before other sockets get their turn.
    private static let budget = 1 << 20

    private enum Stage {
        case connecting
        /// Talking to the proxy.
        case handshake(SocksHandshake)
        case open
    }

    let socket: TCPSocket
    private var flow: LoadFlow?
    private unowned let carrier: SocketCarrier
    private let handshake: SocksHandshake?
    private var stage = Stage.connecting
    private var writeBudget = budget
    private var isComingBack = false
    /// The flow is to be told that it can write again.
    private var owesWritable = false
    private var owesRead = false
    /// What a write ran into; told at the next turn, since a write never calls back.
    private var failure: FlowFailure?

    init(flow: LoadFlow, socket: TCPSocket, carrier: SocketCarrier, handshake: SocksHandshake?) {
        self.flow = flow
        self.socket = socket
        self.carrier = carrier
        self.handshake = handshake
    }

    // MARK: - From the flow

    func write(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int {
        guard case .open = stage, failure == nil else { return 0 }
        guard writeBudget > 0 else {
            owesWritable = true
            comeBack()
            return 0
        }
        switch socket.write(bytes) {
        case .bytes(let count):
            writeBudget -= count
            // It is refilled at the next turn.
            if writeBudget <= 0 { comeBack() }
            return count
        case .wouldBlock, .end:
            return 0
        case .failed(let code):
            failure = FlowFailure(brokenBy: code)
            comeBack()
            return 0
        }
    }

    func finish(now: Instant) { socket.shutdownWrite() }

    func close(reset: Bool, now: Instant) {
        guard flow != nil else { return }
        flow = nil
        carrier.close(self, reset: reset)
    }

    // MARK: - From the loop

    func ready(_ readiness: Readiness) {
        let now = MonotonicClock.now
        if case .connecting = stage {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
            let code = socket.connectResult()
            guard code == 0 else { return fail(FlowFailure(errno: code), now: now) }
            if let handshake {
                stage = .handshake(handshake)
                sendHandshake(handshake.output, now: now)
            } else {
                stage = .open
                flow?.channelOpened(now: now)
            }
        } else if readiness.contains(.error) {
            let code = socket.connectResult()
            if code != 0 { return fail(FlowFailure(brokenBy: code), now: now) }
        }
        if readiness.contains(.writable), case .open = stage { flow?.channelWritable(now: now) }
        if !readiness.isDisjoint(with: [.readable, .hangup]) { read(now: now) }
    }

    private func comeBack() {
        guard !isComingBack else { return }
        isComingBack = true
        carrier.comeBack(to: self)
    }

    /// The next turn.
    func goOn(now: Instant) {
        isComingBack = false
        writeBudget = Self.budget
        if let failure { return fail(failure, now: now) }
        if owesWritable {
            owesWritable = false
            flow?.channelWritable(now: now)
        }
        if owesRead {
            owesRead = false
            read(now: now)
        }
    }

    private func read(now: Instant) {
        var left = Self.budget
        while flow != nil {
            guard left > 0 else {
                owesRead = true
                return comeBack()
            }
            switch socket.read(into: carrier.input) {
            case .bytes(let count):
                left -= count
                take(UnsafeRawBufferPointer(rebasing: carrier.input[..<count]), now: now)
            case .end:
                if case .open = stage { flow?.channelEnded(now: now) } else { fail(.proxyRefused, now: now) }
                return
            case .wouldBlock:
                return
            case .failed(let code):
                return fail(FlowFailure(brokenBy: code), now: now)
            }
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        guard case .handshake(var handshake) = stage else { return flow?.channelReceived(bytes, now: now) ?? () }
        var rest = bytes
        while true {
            let outcome = handshake.receive(&rest)
            stage = .handshake(handshake)
            switch outcome {
            case .send(let answer): sendHandshake(answer, now: now)
            case .wantsMore: return
            case .failed(let failure): return fail(failure, now: now)
            case .connected:
                stage = .open
                flow?.channelOpened(now: now)
                if !rest.isEmpty { flow?.channelReceived(rest, now: now) }
                return
            }
        }
    }

    /// A few hundred bytes into an empty socket always fit.
    private func sendHandshake(_ bytes: [UInt8], now: Instant) {
        let result = bytes.withUnsafeBytes { socket.write($0) }
        if result != .bytes(bytes.count) { fail(.proxyRefused, now: now) }
    }

    private func fail(_ failure: FlowFailure, now: Instant) { flow?.channelFailed(failure, now: now) }
}

extension FlowFailure {
    /// For a connection that stood.
    init(brokenBy code: Int32) {
        let failure = FlowFailure(errno: code)
        // ECONNRESET, EPIPE and their like.
        self = failure == .other || failure == .refused ? .reset : failure
    }
}
