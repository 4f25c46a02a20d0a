import FlowNAT
import Glibc
import LinuxIO
import Packets
import Primitives

/// A TUN device, a FlowNAT and the loop between them.
final class Program: EventHandler {
    /// Packets read before packets are written again.
    private static let budget = 256

    private let loop: EventLoop
    private let tun: TunDevice
    private let server: FlowServer
    private let packet = PacketBuffer()
    private let vectors = IOVectors(capacity: PacketBuffer.maximumRegions + 1)
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: TunDevice.maximumPacket, alignment: 16)
    private var tunHasMore = false
    private var failure: SystemError?

    init(_ options: Options) throws {
        loop = try EventLoop()
        tun = try TunDevice(name: options.name, offload: options.offload)
        var settings = options.flows
        settings.offload = tun.offload.contains(.tso4)
        settings.udpOffload = tun.offload.contains(.uso4)
        var random = SystemRandom()
        server = FlowServer(
            settings: settings, pool: BlockPool(byteLimit: options.memory), sendQueueLimit: options.sendQueue,
            random: &random)
    }

    deinit { input.deallocate() }

    func run() throws {
        try loop.onSignal([Signals.interrupt, Signals.terminate]) { [unowned self] _ in loop.stop() }
        try loop.onSignal([Signals.user1]) { [unowned self] _ in report() }
        try loop.add(tun.descriptor, self, interest: .readable)
        print("ready \(tun.name)")
        loop.run { [self] in turn() }
        report()
        if let failure { throw failure }
    }

    func ready(_ readiness: Readiness) { readTun() }

    private func turn() -> Instant? {
        if tunHasMore { readTun() }
        let now = MonotonicClock.now
        if let deadline = server.nextDeadline, deadline <= now { server.handleTimeout(now: now) }
        writeTun(now: now)
        return tunHasMore ? now : server.nextDeadline
    }

    private func readTun() {
        tunHasMore = false
        let now = MonotonicClock.now
        do {
            for _ in 0..<Self.budget {
                guard let (count, header) = try tun.read(into: input) else { return }
                server.handle(UnsafeRawBufferPointer(rebasing: input[..<count]), offload: header, now: now)
            }
            tunHasMore = true
        } catch {
            failure = error
            loop.stop()
        }
    }

    private func writeTun(now: Instant) {
        while server.nextPacket(into: packet, now: now) {
            vectors.clear()
            _ = vectors.add(packet.headBytes)
            for region in packet.regions { _ = vectors.add(region) }
            // What the device does not take is lost as on any link; TCP sends it again.
            _ = tun.write(header: packet.offload, vectors: vectors.vectors)
        }
    }

    // MARK: - Reporting

    /// One line for each figure, name and number, and then "end".
    private func report() {
        var lines = Self.lines("", of: server.nat.counters)
        lines += Self.lines("server ", of: server.counters)
        lines += Self.lines("tun ", of: tun.counters)
        lines += [
            "flows left \(server.nat.flowCount)", "active flows left \(server.nat.activeFlowCount)",
            "connections left \(server.connectionCount)", "blocks left \(server.pool.outstanding)",
            "most blocks \(server.pool.highWater)", "blocks refused \(server.pool.refused)",
            "associations left \(server.nat.associationCount)",
            "offload \(tun.offload.contains(.tso4) ? 1 : 0)", "datagram offload \(tun.offload.contains(.uso4) ? 1 : 0)",
            "end",
        ]
        print(lines.joined(separator: "\n"))
    }

    /// Every counter of a structure by its name, so that a new one shows by itself.
    private static func lines(_ prefix: String, of counters: Any) -> [String] {
        Mirror(reflecting: counters).children.map { "\(prefix)\($0.label ?? "?") \($0.value)" }
    }

    /// At once, and not when a buffer is full.
    private func print(_ text: String) {
        var bytes = Array((text + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
