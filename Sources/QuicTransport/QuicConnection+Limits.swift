import CNgtcp2
import Primitives

// What a peer can make this side do or keep, beyond what flow control bounds.

extension QuicConnection {
    /// Called after each datagram.
    func checkLimits() {
        let count = Int(cngtcp2_take_rare_frames())
        if count > 0 {
            counters.rareFramesReceived += count
            if !rareFrames.take(count, now: latest) {
                exceeded("too many PATH_CHALLENGE, NEW_CONNECTION_ID or RETIRE_CONNECTION_ID frames")
            }
        }
        // No more than were sent, whatever the peer says.
        let marks = min(Int(clamping: cngtcp2_take_congestion_marks()), counters.packetsSent)
        if marks > counters.congestionMarks {
            counters.congestionMarks = marks
            markedAt = latest
        }
        if memory.pointee.used > settings.libraryMemoryLimit {
            exceeded("too much memory for what came out of order")
        }
    }

    func exceeded(_ what: String) {
        if pendingClose == nil { counters.limitsExceeded = 1 }
        request(.application(code: settings.limitErrorCode), message: what, reason: .limitExceeded(what))
    }
}
