import Primitives
import Testing

@testable import Sealing

@Suite struct LimitTests {
    @Test(arguments: [1, 16, 1_023, 1_024])
    func firstChunkUpToTheLimit(_ size: Int) throws {
        let channel = Channel()
        let pool = BlockPool(byteLimit: 0)
        var queue = BlockQueue(pool: pool)
        let opener = channel.opener()
        #expect(opener.takeFirstChunk() == nil)
        try opener.open(channel.sealer().seal(message: [UInt8](repeating: 9, count: size)), into: &queue)
        #expect(opener.takeFirstChunk()?.count == size)
        #expect(opener.takeFirstChunk() == nil)
        let count = queue.count
        #expect(count == 0)
    }

    @Test(arguments: [1_025, 16_383])
    func firstChunkBeyondTheLimit(_ size: Int) {
        let channel = Channel()
        let pool = BlockPool(byteLimit: 1 << 20)
        var queue = BlockQueue(pool: pool)
        let opener = channel.opener()
        let sealed = channel.sealer().seal([UInt8](repeating: 9, count: size))
        #expect(throws: OpenError.messageTooLong(size)) { try opener.open(sealed, into: &queue) }
        #expect(opener.takeFirstChunk() == nil)
    }

    @Test func firstChunkMayBeTakenAfterDataCame() throws {
        let channel = Channel()
        let pool = BlockPool(byteLimit: 1 << 20)
        do {
            var queue = BlockQueue(pool: pool)
            let opener = channel.opener()
            let sealer = channel.sealer()
            try opener.open(sealer.seal(message: [1]) + sealer.seal([2, 3]), into: &queue)
            try opener.open(sealer.seal([4]), into: &queue)
            #expect(opener.takeFirstChunk() == [1])
            let data = queue.drain()
            #expect(data == [2, 3, 4])
        }
        #expect(pool.outstanding == 0)
    }

    @Test func exhaustedPoolEndsTheFlowAndKeepsWhatWasWhole() throws {
        let channel = Channel()
        // Two blocks: two full chunks and a bit do not fit.
        let pool = BlockPool(byteLimit: 2 * BlockPool.blockSize)
        do {
            var queue = BlockQueue(pool: pool)
            let opener = channel.opener()
            let sealer = channel.sealer()
            let chunk = [UInt8](repeating: 5, count: 16_000)
            try opener.open(sealer.seal(message: [1]) + sealer.seal(chunk) + sealer.seal(chunk), into: &queue)
            #expect(pool.outstanding == 2)
            let third = sealer.seal(chunk)
            #expect(throws: OpenError.outOfMemory) { try opener.open(third, into: &queue) }
            #expect(throws: OpenError.outOfMemory) { try opener.open(third, into: &queue) }
            let staged = queue.staged
            #expect(staged == 0)
            #expect(pool.refused > 0)
            #expect(!opener.isBetweenChunks)
            let data = queue.drain()
            #expect(data == chunk + chunk)
        }
        #expect(pool.outstanding == 0)
    }

    @Test func messagesComeOutWholeAndInOrder() throws {
        let channel = Channel(direction: .down, stream: 0)
        let sealer = channel.sealer()
        let opener = channel.messageOpener()
        let messages = (1...20).map { [UInt8](repeating: UInt8($0), count: $0 * 51) }
        var received: [[UInt8]] = []
        for byte in messages.flatMap({ sealer.seal(message: $0) }) {
            #expect(received.count == 20 || opener.chunks < 20)
            try opener.open([byte])
            while let message = opener.nextMessage() { received.append(message) }
        }
        #expect(received == messages)
        #expect(opener.isBetweenChunks)
        #expect(opener.bytes == UInt64(messages.map(\.count).reduce(0, +)))
    }

    @Test func messageSizeLimit() throws {
        let channel = Channel(stream: 0)
        let sealer = channel.sealer()
        let opener = channel.messageOpener()
        try opener.open(sealer.seal([UInt8](repeating: 1, count: 1_024)))
        let tooLong = sealer.seal([UInt8](repeating: 1, count: 1_025))
        #expect(throws: OpenError.messageTooLong(1_025)) { try opener.open(tooLong) }
        #expect(opener.nextMessage()?.count == 1_024)
        #expect(opener.nextMessage() == nil)
    }

    @Test func waitingMessagesLimit() throws {
        let channel = Channel(stream: 0)
        let sealer = channel.sealer()
        let opener = channel.messageOpener()
        for i in 0..<MessageOpener.maximumWaiting { try opener.open(sealer.seal(message: [UInt8(i)])) }
        let next = sealer.seal(message: [1])
        #expect(throws: OpenError.tooManyMessages) { try opener.open(next) }
        for i in 0..<MessageOpener.maximumWaiting { #expect(opener.nextMessage() == [UInt8(i)]) }
        #expect(opener.nextMessage() == nil)
        #expect(throws: OpenError.tooManyMessages) { try opener.open([0]) }
    }

    @Test func messagesUnderAnotherKey() {
        let sealed = Channel(secretBytes: run(from: 1), stream: 0).sealer().seal(message: [1, 2, 3])
        let opener = Channel(stream: 0).messageOpener()
        #expect(throws: OpenError.badTag) { try opener.open(sealed) }
        #expect(opener.nextMessage() == nil)
        #expect(!opener.isBetweenChunks)
    }
}
