import LinuxIO
import Primitives
import Server

/// One dialled socket and its place in the loop.
final class OutboundSocket: EventHandler {
    let id: OutboundID
    let socket: TCPSocket
    private unowned let owner: ServerLoop
    private(set) var isConnected = false

    init(id: OutboundID, socket: TCPSocket, owner: ServerLoop) {
        self.id = id
        self.socket = socket
        self.owner = owner
    }

    func ready(_ readiness: Readiness) {
        if !isConnected {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
            let code = socket.connectResult()
            guard code == 0 else { return owner.dialFailed(self, errno: code) }
            isConnected = true
            owner.dialSucceeded(self)
        }
        if readiness.contains(.error) {
            let code = socket.connectResult()
            if code != 0 { return owner.failed(self) }
        }
        if readiness.contains(.writable) { owner.write(self) }
        if !readiness.isDisjoint(with: [.readable, .hangup]) { owner.read(self) }
    }
}
