import Load
import Primitives
import SimNet
import Tunnel

/// A target at the end of a perfect line, on a virtual clock: what flows of the load meet when nothing lies between.
final class SimTarget: FlowCarrier {
    enum Behaviour {
        case answers
        case fails(FlowFailure)
        /// Dials are never answered.
        case isSilent
        /// One byte towards the load is wrong: that of this number.
        case corruptsByte(Int)
        /// The connection breaks after so many bytes towards the target.
        case resets(after: Int)
        /// Ends in order after so many bytes towards the load, which end in the midst of something.
        case ends(after: Int)
    }

    static let first = Endpoint(IPAddress("192.0.2.9")!, 7_400)
    /// Bytes under way in each direction of a flow.
    static let window = 64 << 10

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var delay = Interval.milliseconds(1)
    var behaviour = Behaviour.answers
    /// Nothing passes to the target in this time; it comes at its end.
    var stall: Range<Instant>?
    let pattern = Pattern()
    let pool = BlockPool(byteLimit: 64 << 20)
    private(set) var dials = 0
    /// Connections that the load has reset, and that it has finished in order.
    fileprivate(set) var resets = 0
    fileprivate(set) var finishes = 0
    private var events: [(time: Instant, action: () -> Void)] = []

    func engine(_ workloads: [WorkloadPlan], datagrams: (any DatagramCarrier)? = nil, seed: UInt64 = 1) -> LoadEngine {
        LoadEngine(
            plan: LoadPlan(workloads: workloads, target: .endpoint(Self.first)), carrier: self, datagrams: datagrams,
            random: SeededRandom(seed: seed), now: now)
    }

    func open(_ flow: LoadFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any FlowChannel
    {
        dials += 1
        if case .fails(.outOfResources) = behaviour { throw .outOfResources }
        let service = TargetService(rawValue: destination.port - Self.first.port)!
        let channel = SimChannel(flow: flow, target: TargetFlow(service, pattern: pattern, place: 77, pool: pool), self)
        schedule(after: delay * 2) { [unowned self] in
            switch behaviour {
            case .fails(let failure): channel.flow?.channelFailed(failure, now: self.now)
            case .isSilent: break
            case .answers, .corruptsByte, .resets, .ends:
                channel.flow?.channelOpened(now: self.now)
                channel.pumpTarget()
            }
        }
        return channel
    }

    func schedule(after delay: Interval, _ action: @escaping () -> Void) {
        let time = now + delay
        let index = events.lastIndex { $0.time <= time }.map { $0 + 1 } ?? 0
        events.insert((time, action), at: index)
    }

    /// When what is sent now arrives at the target.
    fileprivate var wayUp: Interval {
        let arrival = now + delay
        guard let stall, stall.contains(arrival) else { return delay }
        return stall.upperBound - now
    }

    /// Runs until the load is over; says whether it was within `limit`.
    @discardableResult
    func run(_ engine: LoadEngine, for limit: Interval = .seconds(100), until done: () -> Bool = { false }) -> Bool {
        let end = now + limit
        while engine.nextDeadline != nil, !done() {
            guard let next = earliest(engine.nextDeadline, events.first?.time), next <= end else {
                now = end
                return false
            }
            now = max(now, next)
            while let first = events.first, first.time <= now { events.removeFirst().action() }
            if let deadline = engine.nextDeadline, deadline <= now { engine.handleTimeout(now: now) }
        }
        return true
    }
}

private final class SimChannel: FlowChannel {
    var flow: LoadFlow?
    private let target: TargetFlow
    private unowned let world: SimTarget
    private var underWayUp = 0
    private var underWayDown = 0
    private var waits = false
    private var sentUp = 0
    private var sentDown = 0
    private var hasEnded = false
    /// What came to the target and was not taken yet; nil stands for the end.
    private var arrived: [[UInt8]?] = []

    init(flow: LoadFlow, target: TargetFlow, _ world: SimTarget) {
        self.flow = flow
        self.target = target
        self.world = world
    }

    func write(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int {
        let taken = min(bytes.count, SimTarget.window - underWayUp)
        if taken < bytes.count { waits = true }
        guard taken > 0 else { return 0 }
        underWayUp += taken
        sentUp += taken
        let copy = Array(bytes[..<taken])
        world.schedule(after: world.wayUp) { [self] in
            arrived.append(copy)
            pumpTarget()
        }
        if case .resets(let after) = world.behaviour, sentUp >= after {
            world.schedule(after: world.delay) { [self] in flow?.channelFailed(.reset, now: world.now) }
        }
        return taken
    }

    func finish(now: Instant) {
        world.schedule(after: world.wayUp) { [self] in
            arrived.append(nil)
            pumpTarget()
        }
    }

    func close(reset: Bool, now: Instant) {
        flow = nil
        if reset { world.resets += 1 } else { world.finishes += 1 }
    }

    func pumpTarget() {
        while flow != nil {
            write()
            guard target.wantsBytes, !arrived.isEmpty else { break }
            guard let bytes = arrived.removeFirst() else {
                target.finishReceiving()
                continue
            }
            underWayUp -= bytes.count
            if !bytes.withUnsafeBytes({ target.receive($0) }) {
                flow?.channelFailed(.reset, now: world.now)
            } else if waits {
                waits = false
                world.schedule(after: world.delay) { [self] in flow?.channelWritable(now: world.now) }
            }
        }
        if target.isDone, !hasEnded {
            hasEnded = true
            world.schedule(after: world.delay) { [self] in flow?.channelEnded(now: world.now) }
        }
    }

    private func write() {
        target.write { bytes in
            let taken = min(bytes.count, SimTarget.window - underWayDown)
            if taken > 0, !hasEnded { deliver(Array(bytes[..<taken])) }
            return taken
        }
    }

    private func deliver(_ bytes: [UInt8]) {
        var bytes = bytes
        switch world.behaviour {
        case .corruptsByte(let number) where (sentDown..<sentDown + bytes.count).contains(number):
            bytes[number - sentDown] ^= 1
        case .ends(let after) where sentDown + bytes.count >= after:
            bytes.removeLast(sentDown + bytes.count - after)
            hasEnded = true
        case .answers, .fails, .isSilent, .corruptsByte, .resets, .ends: break
        }
        underWayDown += bytes.count
        sentDown += bytes.count
        world.schedule(after: world.delay) { [self] in
            underWayDown -= bytes.count
            bytes.withUnsafeBytes { flow?.channelReceived($0, now: world.now) }
            if hasEnded, underWayDown == 0 { flow?.channelEnded(now: world.now) }
            pumpTarget()
        }
    }
}

extension WorkloadPlan {
    /// One second of a workload.
    init(_ workload: Workload, name: String = "load", start: Interval = .zero, for duration: Interval = .seconds(1)) {
        self.init(name: name, workload: workload, start: start, duration: duration)
    }
}
