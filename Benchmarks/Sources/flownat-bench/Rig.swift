import FlowNAT
import Packets
import Primitives

/// A `FlowNAT`, its owner and its applications, on a virtual clock.
struct Rig: ~Copyable {
    struct Shape {
        var flows = 1
        var isIPv4 = true
        var timestamps = true
        /// The TUN takes super-segments and partial checksums.
        var offload = true
        /// The application's packets come with a checksum that FlowNAT has to verify.
        var checksum = false
    }

    let shape: Shape
    var nat: FlowNAT
    var side: ApplicationSide
    let buffer = PacketBuffer()
    var identifiers: [FlowID?]
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let pool: BlockPool
    /// What comes with every packet of the applications.
    let virtio: VirtioHeader
    /// Where a consumer copies to; nil for a consumer that only counts.
    var sink: UnsafeMutableRawPointer?
    private var sinkPosition = 0
    private static let sinkSize = 1 << 20
    /// Packets that FlowNAT sent.
    private(set) var packetsOut = 0
    private(set) var delivered = 0

    /// All flows are open afterwards.
    init(_ shape: Shape, isCopying: Bool = false) {
        self.shape = shape
        var settings = FlowSettings()
        settings.maximumFlows = max(shape.flows + 16, settings.maximumFlows)
        settings.offload = shape.offload
        pool = BlockPool(byteLimit: 512 << 20)
        var random = SplitMix(state: 1)
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
        side = ApplicationSide(count: shape.flows, isIPv4: shape.isIPv4)
        identifiers = Array(repeating: nil, count: shape.flows)
        virtio = VirtioHeader(flags: shape.checksum ? 0 : VirtioHeader.dataValid)
        if isCopying {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.sinkSize + 65_536, alignment: 64)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.sinkSize + 65_536)
            sink = memory
        }
    }

    deinit { sink?.deallocate() }

    /// Milliseconds, as Linux' timestamps count.
    var clock: UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000) }

    mutating func openAll() { for index in 0..<shape.flows { open(index) } }

    /// One handshake.
    mutating func open(_ index: Int) {
        now = now + .microseconds(1)
        input(side.syn(index, timestamps: shape.timestamps, clock: clock), VirtioHeader(flags: VirtioHeader.dataValid))
        var opened: FlowID?
        while let event = nat.nextEvent() { if case .connect(let id, _) = event { opened = id } }
        guard let opened else { fatalError("a SYN opened no flow") }
        identifiers[index] = opened
        nat.accept(opened)
        guard nat.nextPacket(into: buffer, now: now) else { fatalError("no SYN-ACK was sent") }
        side.accept(index, synAck: buffer.headBytes, clock: clock)
        input(side.segment(index, bytes: 0, clock: clock), VirtioHeader(flags: VirtioHeader.dataValid))
        settle(index)
    }

    /// Gives FlowNAT one packet; the consumer takes all bytes.
    /// - Returns: how many bytes that were.
    @inline(__always) @discardableResult
    mutating func input(_ packet: UnsafeRawBufferPointer, _ header: VirtioHeader) -> Int {
        var taken = 0
        if let sink {
            var position = sinkPosition & (Self.sinkSize - 1)
            nat.handle(packet, offload: header, now: now) { _, bytes in
                (sink + position).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
                position += bytes.count
                taken += bytes.count
                return bytes.count
            }
            sinkPosition = position
        } else {
            nat.handle(packet, offload: header, now: now) { _, bytes in
                taken += bytes.count
                return bytes.count
            }
        }
        return taken
    }

    /// What an owner does after every call: events, then packets until there are no more.
    @inline(__always)
    mutating func settle(_ index: Int) {
        while let event = nat.nextEvent() {
            if case .reset = event { fatalError("flow \(index) was reset") }
        }
        takePackets()
    }

    @inline(__always)
    mutating func takePackets() {
        while nat.nextPacket(into: buffer, now: now) {
            side.receive(buffer.headBytes, count: buffer.count)
            packetsOut &+= 1
        }
    }

    /// Fires the timers that are due.
    @inline(__always)
    mutating func fireTimers() {
        guard let deadline = nat.nextDeadline, deadline <= now else { return }
        nat.handleTimeout(now: now)
        settle(0)
    }
}

/// SplitMix64: the same run every time.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
