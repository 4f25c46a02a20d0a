import Primitives
import SimNet
import Testing

@testable import Sealing

/// Both ends of one direction of an association.
struct DatagramEnds {
    let sealer: DatagramSealer
    let opener: DatagramOpener

    init(_ channel: Channel = Channel(), startingAt counter: UInt64 = 0) {
        sealer = channel.datagramSealer(startingAt: counter)
        opener = channel.datagramOpener(startingAt: counter)
    }
}

extension Channel {
    func datagramSealer(startingAt counter: UInt64 = 0) -> DatagramSealer {
        DatagramSealer(keys: keys(), direction: direction, stream: stream, startingAt: counter)
    }

    func datagramOpener(startingAt counter: UInt64 = 0) -> DatagramOpener {
        DatagramOpener(keys: keys(), direction: direction, stream: stream, startingAt: counter)
    }
}

extension DatagramSealer {
    /// Nil at the end of the counter.
    func seal(_ payload: [UInt8], _ trailer: [UInt8] = []) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: payload.count + trailer.count + DatagramFormat.maximumOverhead)
        let expected = sealedSize(payload.count + trailer.count)
        let count = output.withUnsafeMutableBytes { output in
            payload.withUnsafeBytes { payload in
                trailer.withUnsafeBytes { seal(payload, $0, into: output) }
            }
        }
        guard let count else { return nil }
        precondition(count == expected, "sealedSize is wrong")
        return Array(output[..<count])
    }
}

extension DatagramOpener {
    func open(_ datagram: [UInt8]) -> Result<[UInt8], DatagramRefusal> {
        var output = [UInt8](repeating: 0, count: datagram.count)
        return datagram.withUnsafeBytes { datagram in
            output.withUnsafeMutableBytes { output in
                do throws(DatagramRefusal) {
                    let count = try open(datagram, into: output)
                    return .success(Array(output[..<count]))
                } catch {
                    return .failure(error)
                }
            }
        }
    }
}

@Suite struct DatagramTests {
    @Test(arguments: Cipher.allCases, Direction.allCases)
    func whatIsSealedOpens(cipher: Cipher, direction: Direction) {
        var channel = Channel()
        channel.cipher = cipher
        channel.direction = direction
        let ends = DatagramEnds(channel)
        var random = SeededRandom(seed: 5)
        for size in [0, 1, 15, 16, 17, 1_200, 1_400, 65_000] {
            let payload = randomBytes(size, &random)
            let trailer = randomBytes(size % 20, &random)
            #expect(ends.opener.open(ends.sealer.seal(payload, trailer)!) == .success(payload + trailer))
        }
    }

    @Test func theStreamIsReadFromTheFront() {
        for stream: Int64 in [0, 4, 252, 256, 65_532, 65_536, 1 << 32, 1 << 61] {
            var channel = Channel()
            channel.stream = stream
            let sealed = channel.datagramSealer().seal([1])!
            #expect(sealed.withUnsafeBytes { DatagramFormat.stream(of: $0) } == stream)
            #expect(channel.datagramOpener().open(sealed) == .success([1]))
        }
        #expect(DatagramFormat.stream(of: UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
        for short: [UInt8] in [[0x40], [0x80, 0, 0], [0xC0, 0, 0, 0, 0, 0, 0]] {
            #expect(short.withUnsafeBytes { DatagramFormat.stream(of: $0) } == nil)
        }
        // The largest integer is no quarter of a stream ID that QUIC can have, but it must not trap.
        _ = [UInt8](repeating: 0xFF, count: 8).withUnsafeBytes { DatagramFormat.stream(of: $0) }
    }

    @Test func everyOrderOpensOnce() {
        let ends = DatagramEnds()
        let sealed = (0..<100).map { ends.sealer.seal([UInt8($0)])! }
        var random = SeededRandom(seed: 9)
        for index in (0..<100).shuffled(using: &random) {
            #expect(ends.opener.open(sealed[index]) == .success([UInt8(index)]))
        }
        for datagram in sealed { #expect(ends.opener.open(datagram) == .failure(.replayed)) }
    }

    /// Datagrams that were overtaken by as many as the window holds open; one more is too many.
    @Test func theWindowHasItsSize() {
        #expect(DatagramOpener.windowSize >= 2_048)
        let ends = DatagramEnds()
        let sealed = (0...DatagramOpener.windowSize).map { _ in ends.sealer.seal([7])! }
        #expect(ends.opener.open(sealed.last!) == .success([7]))
        #expect(ends.opener.open(sealed[1]) == .success([7]))
        #expect(ends.opener.open(sealed[0]) == .failure(.tooOld))
        #expect(ends.opener.open(sealed[1]) == .failure(.replayed))
    }

    /// Every bit of a datagram matters, and a forged one does not move the window or spoil the true one.
    @Test func nothingCanBeChanged() {
        let ends = DatagramEnds()
        _ = ends.opener.open(ends.sealer.seal([0])!)
        let sealed = ends.sealer.seal([1, 2, 3], [4, 5])!
        for index in sealed.indices {
            for bit in 0..<8 {
                var changed = sealed
                changed[index] ^= 1 << UInt8(bit)
                guard case .failure = ends.opener.open(changed) else {
                    Issue.record("byte \(index), bit \(bit)")
                    return
                }
            }
        }
        for count in sealed.indices {
            guard case .failure = ends.opener.open(Array(sealed[..<count])) else {
                Issue.record("cut to \(count)")
                return
            }
        }
        #expect(ends.opener.open(sealed) == .success([1, 2, 3, 4, 5]))
    }

    /// A longer spelling of the same numbers is another datagram: the tag covers the bytes before the sealed part.
    @Test func anotherSpellingOfTheNumbersIsRefused() {
        let ends = DatagramEnds()
        let sealed = ends.sealer.seal([1])!
        #expect(Array(sealed[..<3]) == [1, 0, 0])
        #expect(ends.opener.open([0x40, 1] + sealed[1...]) == .failure(.badTag))
        #expect(ends.opener.open([1, 0, 0x40, 0] + sealed[3...]) == .failure(.badTag))
        #expect(ends.opener.open(sealed) == .success([1]))
    }

    @Test func anotherPlaceHasAnotherKey() {
        let sealed = Channel().datagramSealer().seal([1, 2, 3])!
        var down = Channel()
        down.direction = .down
        #expect(down.datagramOpener().open(sealed) == .failure(.badTag))
        var otherStream = Channel()
        otherStream.stream = 8
        #expect(otherStream.datagramOpener().open(sealed) == .failure(.malformed))
        #expect(otherStream.datagramOpener().open([2] + sealed[1...]) == .failure(.badTag))
        var otherSession = Channel()
        otherSession.secretBytes = run(from: 0x21)
        #expect(otherSession.datagramOpener().open(sealed) == .failure(.badTag))
        var otherCipher = Channel()
        otherCipher.cipher = .chacha20poly1305
        #expect(otherCipher.datagramOpener().open(sealed) == .failure(.badTag))
    }

    /// Each 2^24 datagrams have a key of their own; those around the border open in any order.
    @Test func keysChange() {
        let border: UInt64 = 3 << 24
        let ends = DatagramEnds(startingAt: border - 3)
        let sealed = (0..<6).map { ends.sealer.seal([UInt8($0)])! }
        for index in [0, 4, 1, 3, 2, 5] { #expect(ends.opener.open(sealed[index]) == .success([UInt8(index)])) }
        for datagram in sealed { #expect(ends.opener.open(datagram) == .failure(.replayed)) }
        // The key after next is not tried: a forger would have us derive one for every datagram.
        let far = Channel().datagramSealer(startingAt: 5 << 24).seal([1])!
        #expect(ends.opener.open(far) == .failure(.badTag))
        #expect(ends.opener.open(ends.sealer.seal([9])!) == .success([9]))
    }

    @Test func theCounterEnds() {
        let ends = DatagramEnds(startingAt: (1 << 62) - 2)
        let first = ends.sealer.seal([1])!
        let last = ends.sealer.seal([2])!
        #expect(ends.sealer.seal([3]) == nil)
        #expect(ends.sealer.seal([3]) == nil)
        #expect(ends.opener.open(last) == .success([2]))
        #expect(ends.opener.open(first) == .success([1]))
        #expect(ends.opener.open(last) == .failure(.replayed))
    }
}

@Suite struct ReplayWindowTests {
    /// Against a model that remembers everything.
    @Test(arguments: 0..<20)
    func agreesWithASet(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var window = ReplayWindow()
        var seen: Set<UInt64> = []
        var highest: UInt64 = 0
        for _ in 0..<5_000 {
            let jump = UInt64.random(in: 0..<10, using: &random) == 0 ? ReplayWindow.size * 2 : 200
            let top = highest + UInt64.random(in: 0...jump, using: &random)
            let counter = UInt64.random(in: (top > 5_000 ? top - 5_000 : 0)...top, using: &random)
            let expected: ReplayWindow.Verdict =
                counter + ReplayWindow.size <= highest ? .tooOld : seen.contains(counter) ? .replayed : .fresh
            #expect(window.verdict(on: counter) == expected, "seed \(seed), counter \(counter), highest \(highest)")
            guard expected == .fresh else { continue }
            window.note(counter)
            seen.insert(counter)
            highest = max(highest, counter)
        }
    }
}
