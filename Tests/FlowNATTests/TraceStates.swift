import Packets
import Testing

@testable import FlowNAT

extension TCPState {
    /// The application's FIN has been received and delivered.
    var hasReceivedFIN: Bool {
        switch self {
        case .closeWait, .closing, .lastAck, .timeWait: true
        case .opening, .synReceived, .established, .finWait1, .finWait2: false
        }
    }
}

extension Trace {
    /// Brings a new flow into a state by the shortest way. The application began at 100; where it can be, the far side
    /// has said nothing, so the next numbers are 101 and 1, or one more after a FIN.
    func bring(to state: TCPState) {
        flow = nil
        natStart = nil
        app.sends(.syn, seq: 100, mss: 1460, ws: 7)
        if state != .opening {
            owner.accepts()
            app.expects([.syn, .ack], seq: 0, ack: 101)
        }
        switch state {
        case .opening, .synReceived: break
        case .established: establish()
        case .finWait1: sendFIN()
        case .finWait2:
            sendFIN()
            app.sends(.ack, seq: 101, ack: 2)
        case .closeWait: receiveFIN()
        case .closing:
            sendFIN()
            app.sends([.fin, .ack], seq: 101, ack: 1)
        case .lastAck:
            receiveFIN()
            owner.finishes()
        case .timeWait:
            sendFIN()
            app.sends([.fin, .ack], seq: 101, ack: 2)
        }
        while nextPacket() != nil {}
        _ = takeReports()
        #expect(self.state == state)
    }

    private func establish() { app.sends(.ack, seq: 101, ack: 1) }

    private func sendFIN() {
        establish()
        owner.finishes()
        while nextPacket() != nil {}
    }

    private func receiveFIN() {
        establish()
        app.sends([.fin, .ack], seq: 101, ack: 1)
    }
}

/// A trace whose one flow is established: the application's numbers begin at 101, ours at 1.
func opened(win: UInt16 = 0xFFFF, _ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
    var settings = FlowSettings()
    change(&settings)
    let t = Trace(settings: settings)
    t.app.opens(win: win)
    return t
}
