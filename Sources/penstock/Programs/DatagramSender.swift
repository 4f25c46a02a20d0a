import LinuxIO
import Primitives
import QuicTransport

/// Sends batches through a UDP socket, and keeps the one that did not fit until the socket is writable again.
final class DatagramSender {
    /// The largest batch (UDP_SEGMENT takes 64 KB at most).
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private var waiting: (batch: OutgoingBatch, offset: Int)?
    private var lastError: String?

    deinit { buffer.deallocate() }

    /// The socket is full: something waits for it to become writable.
    var isBlocked: Bool { waiting != nil }

    /// Forgets what waits, when its socket goes.
    func clear() {
        waiting = nil
        lastError = nil
    }

    /// What the network refused, or the socket failed with, since the last call.
    func takeError() -> String? {
        defer { if lastError != nil { lastError = nil } }
        return lastError
    }

    /// Sends all that `next` gives, until it gives nothing or the socket is full.
    /// - Parameter usesLocalAddress: sends from the address that the batch names, for wildcard sockets.
    ///
    /// While the socket is full the loop also watches for it to become writable; at other times that would be a wake-up
    /// for every datagram sent.
    func send(
        on socket: UDPSocket, loop: EventLoop, usesLocalAddress: Bool,
        next: (UnsafeMutableRawBufferPointer) -> OutgoingBatch?
    ) {
        if let (batch, offset) = waiting {
            guard push(batch, from: offset, socket, usesLocalAddress) else { return }
            loop.setInterest(.readable, of: socket.descriptor)
        }
        while let batch = next(buffer) {
            if !push(batch, from: 0, socket, usesLocalAddress) {
                return loop.setInterest([.readable, .writable], of: socket.descriptor)
            }
        }
    }

    /// False when the socket is full.
    private func push(
        _ batch: OutgoingBatch, from offset: Int, _ socket: UDPSocket, _ usesLocalAddress: Bool
    ) -> Bool {
        waiting = nil
        do {
            let result = try socket.send(
                UnsafeRawBufferPointer(rebasing: buffer[offset..<batch.count]), segmentSize: batch.segmentSize,
                to: batch.remote, from: usesLocalAddress ? batch.local : nil, ecn: batch.ecn)
            switch result {
            case .sent:
                return true
            case .dropped(let code):
                // As if the network had lost it: QUIC sends the bytes again.
                lastError = systemErrorText(code)
                return true
            case .wouldBlock(let sent):
                waiting = (batch, offset + sent)
                return false
            }
        } catch {
            lastError = "\(error)"
            return true
        }
    }
}
