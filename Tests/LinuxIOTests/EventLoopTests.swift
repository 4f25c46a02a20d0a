import Glibc
import Primitives
import Synchronization
import Testing

@testable import LinuxIO

/// A pipe whose reading end can be watched.
private final class Pipe {
    let reader: Int32
    let writer: Int32

    init() {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
    }

    func fill() { _ = write(writer, "x", 1) }

    deinit {
        close(reader)
        close(writer)
    }
}

private final class Recorder: EventHandler {
    var calls: [Readiness] = []
    var action: () -> Void = {}

    func ready(_ readiness: Readiness) {
        calls.append(readiness)
        action()
    }
}

@Suite struct EventLoopTests {
    @Test func aDeadlineEndsTheWaitNeitherEarlyNorMuchLater() throws {
        let loop = try EventLoop()
        let start = MonotonicClock.now
        let deadline = start + .milliseconds(20)
        var turns = 0
        loop.run {
            if MonotonicClock.now >= deadline { loop.stop() }
            turns += 1
            return deadline
        }
        let waited = MonotonicClock.now - start
        #expect(waited >= .milliseconds(20))
        #expect(waited < .seconds(1))
        #expect(turns <= 3, "the wait was not cut into pieces")
    }

    @Test func readinessIsToldOnceUntilSomethingNewComes() throws {
        let loop = try EventLoop()
        let pipe = Pipe()
        let recorder = Recorder()
        try loop.add(pipe.reader, recorder)
        pipe.fill()
        loop.turn(3)
        #expect(recorder.calls == [.readable])
        pipe.fill()
        loop.turn()
        #expect(recorder.calls.count == 2)
        loop.remove(pipe.reader)
        pipe.fill()
        loop.turn()
        #expect(recorder.calls.count == 2)
    }

    /// A loop that is woken without end rests after each turn.
    @Test func moderationSpacesTheTurns() throws {
        let loop = try EventLoop()
        let pipe = Pipe()
        try loop.add(pipe.reader, Recorder())
        loop.moderation = .milliseconds(5)
        let start = MonotonicClock.now
        var turns = 0
        loop.run {
            turns += 1
            if turns > 20 { loop.stop() }
            pipe.fill()
            return nil
        }
        // The first two wake-ups tell that the loop is busy.
        #expect(MonotonicClock.now - start >= .milliseconds(5) * 17)
    }

    /// It neither rests past a deadline nor before its first wake-up.
    @Test func moderationKeepsDeadlines() throws {
        let loop = try EventLoop()
        let pipe = Pipe()
        let recorder = Recorder()
        try loop.add(pipe.reader, recorder)
        loop.moderation = .seconds(100_000)
        var turns = 0
        loop.run {
            turns += 1
            if turns > 20 { loop.stop() }
            pipe.fill()
            return MonotonicClock.now + .milliseconds(1)
        }
        #expect(recorder.calls.count == 20)
    }

    @Test func aHandlerMayRemoveAnotherWhoseEventIsInTheSameBatch() throws {
        let loop = try EventLoop()
        let pipes = [Pipe(), Pipe()]
        let recorders = [Recorder(), Recorder()]
        for (index, recorder) in recorders.enumerated() {
            try loop.add(pipes[index].reader, recorder)
            recorder.action = { for pipe in pipes { loop.remove(pipe.reader) } }
        }
        for pipe in pipes { pipe.fill() }
        loop.turn(2)
        #expect(recorders.map(\.calls.count).sorted() == [0, 1])
        for recorder in recorders { recorder.action = {} }
    }

    @Test func anEventOfAClosedDescriptorDoesNotReachItsSuccessorOfTheSameNumber() throws {
        let loop = try EventLoop()
        let pipes = [Pipe(), Pipe()]
        let recorders = [Recorder(), Recorder()]
        let successor = Recorder()
        let silent = Pipe()
        var replaced = false
        for (index, recorder) in recorders.enumerated() {
            try loop.add(pipes[index].reader, recorder)
            recorder.action = {
                guard !replaced else { return }
                replaced = true
                let other = pipes[1 - index].reader
                loop.remove(other)
                dup2(silent.reader, other)
                try? loop.add(other, successor)
            }
        }
        for pipe in pipes { pipe.fill() }
        loop.turn(2)
        #expect(replaced)
        #expect(recorders.map(\.calls.count).sorted() == [0, 1])
        #expect(successor.calls.isEmpty)
        silent.fill()
        loop.turn()
        #expect(successor.calls == [.readable])
        for recorder in recorders { recorder.action = {} }
    }

    @Test func theEndOfAPipeIsAHangup() throws {
        let loop = try EventLoop()
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let recorder = Recorder()
        try loop.add(ends[0], recorder)
        close(ends[1])
        loop.turn()
        #expect(recorder.calls.first?.contains(.hangup) == true)
        loop.remove(ends[0])
        close(ends[0])
    }

    @Test func jobsOfAnotherThreadWakeTheLoopAndRunInOrder() throws {
        let loop = try EventLoop()
        let mailbox = loop.mailbox
        let box = Box()
        try onThread {
            for n in 0..<100 { mailbox.post { box.seen.withLock { $0.append(n) } } }
            mailbox.post { box.done.store(true, ordering: .relaxed) }
        }
        let giveUp = MonotonicClock.now + .seconds(2)
        loop.run {
            if box.done.load(ordering: .relaxed) || MonotonicClock.now > giveUp { loop.stop() }
            return giveUp
        }
        #expect(box.seen.withLock { $0 } == Array(0..<100))
    }

    /// Settings reach a loop that has no room for another job: each topic has a place of its own, for its newest job.
    @Test func theNewestJobOfATopicIsNeverLost() throws {
        let loop = try EventLoop()
        let box = Box()
        for _ in 0..<Mailbox.limit { #expect(loop.post {}) }
        #expect(!loop.post {})
        let (settings, stop) = (Mailbox.Topic(1), Mailbox.Topic(2))
        for n in 1...1_000 { loop.mailbox.post(newest: { box.seen.withLock { $0.append(n) } }, of: settings) }
        loop.mailbox.post(newest: { box.seen.withLock { $0.append(-1) } }, of: stop)
        loop.mailbox.post(newest: { box.seen.withLock { $0.append(1_001) } }, of: settings)
        #expect(loop.mailbox.refused == 1 && loop.mailbox.replaced == 1_000)
        loop.turn()
        #expect(box.seen.withLock { $0 } == [-1, 1_001], "in the order of posting")
        // It wakes a loop that sleeps, and runs once.
        loop.mailbox.post(newest: { box.seen.withLock { $0.append(7) } }, of: stop)
        loop.turn(2)
        #expect(box.seen.withLock { $0 } == [-1, 1_001, 7])
    }

    @Test func theMailboxRefusesJobsBeyondItsLimit() throws {
        let loop = try EventLoop()
        let box = Box()
        for n in 0..<Mailbox.limit { #expect(loop.post { box.seen.withLock { $0.append(n) } }) }
        #expect(!loop.post {})
        #expect(loop.mailbox.refused == 1)
        loop.turn()
        #expect(box.seen.withLock { $0.count } == Mailbox.limit)
        #expect(loop.post {})
    }

    @Test func signalsArriveAsEvents() throws {
        let seen = try onThread {
            let loop = try EventLoop()
            var seen: [Int32] = []
            try loop.onSignal([SIGUSR1]) { seen.append($0) }
            try loop.onSignal([SIGUSR2]) { number in
                seen.append(-number)
                loop.stop()
            }
            pthread_kill(pthread_self(), SIGUSR1)
            loop.turn()
            pthread_kill(pthread_self(), SIGUSR2)
            let giveUp = MonotonicClock.now + .seconds(2)
            loop.run {
                if MonotonicClock.now > giveUp { loop.stop() }
                return giveUp
            }
            return seen
        }
        #expect(seen == [SIGUSR1, -SIGUSR2])
    }

    @Test func watchingWhatIsNoDescriptorIsAnError() throws {
        let loop = try EventLoop()
        let error = #expect(throws: SystemError.self) { try loop.add(9999, Recorder()) }
        #expect(error?.code == EBADF)
        #expect(error?.description == "watch descriptor 9999: Bad file descriptor")
    }
}

private final class Box: Sendable {
    let seen = Mutex<[Int]>([])
    let done = Atomic(false)
}

@Suite struct SystemRandomTests {
    @Test func copiesNeverGiveTheSameNumbers() {
        var first = SystemRandom()
        var second = first
        let numbers = (0..<200).flatMap { _ in [first.next(), second.next()] }
        #expect(Set(numbers).count == numbers.count)
    }
}
