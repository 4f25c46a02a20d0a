import LinuxIO
import Primitives
import Server

/// One dialled socket and its place in the loop.
final class OutboundSocket: EventHandler {
    let id: OutboundID
    let socket: TCPSocket
    private unowned let program: ServerProgram
    private(set) var isConnected = false

    init(id: OutboundID, socket: TCPSocket, program: ServerProgram) {
        self.id = id
        self.socket = socket
        self.program = program
    }

    func ready(_ readiness: Readiness) {
        if !isConnected {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
            let code = socket.connectResult()
            guard code == 0 else { return program.dialFailed(self, errno: code) }
            isConnected = true
            program.dialSucceeded(self)
        }
        if readiness.contains(.error) {
            let code = socket.connectResult()
            if code != 0 { return program.failed(self) }
        }
        if readiness.contains(.writable) { program.write(self) }
        if !readiness.isDisjoint(with: [.readable, .hangup]) { program.read(self) }
    }
}
