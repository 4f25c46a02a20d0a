import Primitives
import Testing

@testable import QuicTransport

@Suite final class PathGateTests {
    private static let server = Endpoint("192.0.2.1:4433")!
    private static let home = PathGate.Path(remote: Endpoint("198.51.100.7:1")!, local: server)
    private static let away = PathGate.Path(remote: Endpoint("203.0.113.5:2")!, local: server)
    private static let third = PathGate.Path(remote: Endpoint("203.0.113.6:3")!, local: server)
    private static let patience = Interval.seconds(4)
    private let start = Instant(nanoseconds: 1_000_000_000)
    private var gate = PathGate(current: home)

    private func admits(_ path: PathGate.Path, at now: Instant) -> Bool {
        gate.admits(path, now: now, patience: Self.patience)
    }

    private func moved(to path: PathGate.Path, at now: Instant) -> Bool {
        gate.moved(to: path, now: now, patience: Self.patience)
    }

    @Test func oneNewPathIsLetInAtATime() {
        #expect(!gate.isActive)
        #expect(admits(Self.home, at: start))
        #expect(!gate.isActive, "the path it has needs no watch")
        #expect(admits(Self.away, at: start))
        #expect(gate.lockedUntil == start + Self.patience)
        #expect(!admits(Self.third, at: start))
        #expect(admits(Self.away, at: start))
        #expect(admits(Self.home, at: start), "nothing has moved yet")
    }

    @Test func afterAMoveTheFormerPathIsShut() {
        _ = admits(Self.away, at: start)
        let later = start + .seconds(1)
        #expect(moved(to: Self.away, at: later))
        #expect(!moved(to: Self.away, at: later))
        #expect(!admits(Self.home, at: later))
        #expect(gate.lockedUntil == later + Self.patience)
        gate.handleTimeout(now: later + .seconds(3), canWrite: true)
        #expect(gate.isActive)
        gate.handleTimeout(now: later + Self.patience, canWrite: true)
        #expect(!gate.isActive)
        #expect(admits(Self.home, at: later + Self.patience))
    }

    /// ngtcp2 ends a validation only as it writes, and does not with a full congestion window.
    @Test func aFullWindowKeepsTheGateShut() {
        _ = admits(Self.away, at: start)
        let end = start + Self.patience
        gate.handleTimeout(now: end, canWrite: false)
        #expect(gate.lockedUntil == end + PathGate.retryDelay)
        #expect(!admits(Self.third, at: end))
        gate.handleTimeout(now: end + PathGate.retryDelay, canWrite: true)
        #expect(admits(Self.third, at: end + PathGate.retryDelay))
    }
}
