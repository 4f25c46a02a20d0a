import LinuxIO
import Load
import Primitives

/// One connection at the target: a socket and what its port does.
final class TargetSocket: EventHandler {
    /// Bytes read and written before other sockets get their turn.
    private static let budget = 1 << 20

    let socket: TCPSocket
    let flow: TargetFlow
    private unowned let program: TargetProgram
    /// Its place in the program's list.
    var listIndex = -1
    private var hasEnded = false
    private var hasFinished = false
    private var isClosed = false

    init(socket: TCPSocket, flow: TargetFlow, program: TargetProgram) {
        self.socket = socket
        self.flow = flow
        self.program = program
    }

    func ready(_ readiness: Readiness) { proceed() }

    /// Reads and writes until neither goes on, or the budget is spent: then the program comes back to it.
    func proceed() {
        var left = Self.budget
        while !isClosed {
            write(&left)
            guard !isClosed, read(&left) else { return }
            if left <= 0 { return program.comeBack(to: self) }
        }
    }

    private func write(_ left: inout Int) {
        var failed = false
        flow.write { bytes in
            guard left > 0, !failed else { return 0 }
            switch socket.write(bytes) {
            case .bytes(let count):
                left -= count
                program.counters.bytesSent += UInt64(count)
                return count
            case .wouldBlock, .end: return 0
            case .failed:
                failed = true
                return 0
            }
        }
        if failed { return close(reset: true) }
        if flow.isDone, !hasFinished {
            hasFinished = true
            socket.shutdownWrite()
        }
        if hasFinished, hasEnded { close(reset: false) }
    }

    /// - Returns: false when there is nothing to be done before the socket reports anew.
    private func read(_ left: inout Int) -> Bool {
        // The budget may have ended the writing, and nobody reports that.
        if left <= 0 { return true }
        guard flow.wantsBytes || flow.isDone, !hasEnded else { return false }
        switch socket.read(into: program.input) {
        case .bytes(let count):
            left -= count
            program.counters.bytesReceived += UInt64(count)
            // What comes after the last answer is of no interest.
            if flow.isDone { return true }
            if !flow.receive(UnsafeRawBufferPointer(rebasing: program.input[..<count])) { close(reset: true) }
            return true
        case .end:
            hasEnded = true
            flow.finishReceiving()
            return true
        case .wouldBlock:
            return false
        case .failed:
            close(reset: true)
            return false
        }
    }

    private func close(reset: Bool) {
        guard !isClosed else { return }
        isClosed = true
        program.close(self, reset: reset)
    }
}
