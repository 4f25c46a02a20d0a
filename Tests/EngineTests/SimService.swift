import Primitives
import Server

/// A destination that the simulated server can dial, and how it behaves.
enum SimService {
    /// Sends back what it gets; its FIN follows the peer's.
    case echo
    /// Sends so many bytes, then FIN, whatever comes.
    case source(Int)
    /// Takes everything; sends FIN when the peer's FIN has come.
    case sink
    /// Takes nothing until it is told to.
    case stalledSink
    /// Takes everything and says nothing, until the test gives it another part to play.
    case listens
    /// Sends FIN at once and goes on taking.
    case finishesFirst
    /// Sends RST after so many bytes have come.
    case resetsAfter(Int)
    case fails(DialFailure, after: Interval)
    /// Answers nothing at all.
    case silent
}

/// A dialled socket with the service behind it: what the kernel and the far host are to the real server.
final class SimSocket {
    /// Bytes that the kernel buffers towards a service that does not read.
    static let kernelBuffer = 128 << 10

    let id: OutboundID
    var service: SimService
    let connectsAt: Instant
    var isConnected = false
    /// Everything that the service has received.
    var received: [UInt8] = []
    var peerFinished = false
    /// What the service still has to send.
    private var toSend: [UInt8] = []
    private var sent = 0
    private var sendsFIN = false
    var finSent = false
    var wantsReset = false

    init(id: OutboundID, service: SimService, connectsAt: Instant) {
        self.id = id
        self.service = service
        self.connectsAt = connectsAt
    }

    /// The bytes of a source: the same at every position for everybody.
    static func byte(at index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8 &* 7) }

    /// The first `count` bytes of a source.
    static func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count { bytes += period.prefix(count - bytes.count) }
        return bytes
    }

    /// What `byte` repeats.
    private static let period = (0..<65_536).map(byte)

    func connected() {
        isConnected = true
        switch service {
        case .source(let count):
            toSend = Self.bytes(count)
            sendsFIN = true
        case .finishesFirst:
            sendsFIN = true
        case .echo, .sink, .stalledSink, .listens, .resetsAfter, .fails, .silent:
            break
        }
    }

    /// How many bytes the socket takes now.
    var room: Int {
        if case .stalledSink = service { return max(0, Self.kernelBuffer - received.count) }
        return .max
    }

    func receive(_ bytes: UnsafeRawBufferPointer) {
        received += bytes
        switch service {
        case .echo: toSend += bytes
        case .resetsAfter(let count): wantsReset = received.count >= count
        case .source, .sink, .stalledSink, .listens, .finishesFirst, .fails, .silent: break
        }
    }

    func receiveFIN() {
        peerFinished = true
        switch service {
        case .echo, .sink, .stalledSink: sendsFIN = true
        case .source, .listens, .finishesFirst, .resetsAfter, .fails, .silent: break
        }
    }

    func next(_ limit: Int) -> [UInt8] {
        let count = min(limit, toSend.count - sent)
        defer { sent += count }
        return Array(toSend[sent..<sent + count])
    }

    var isDrained: Bool { sent == toSend.count }
    var owesFIN: Bool { sendsFIN && !finSent && isDrained }
}
