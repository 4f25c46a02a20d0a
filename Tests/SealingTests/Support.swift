import Primitives
import SimNet

@testable import Sealing

func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\n") }
    return stride(from: 0, to: digits.count, by: 2).map { i in
        UInt8(String(decoding: digits[i..<min(i + 2, digits.count)], as: UTF8.self), radix: 16)!
    }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// 32 bytes that count up.
func run(from first: UInt8) -> [UInt8] { Array(first..<(first + 32)) }

func randomBytes(_ count: Int, _ random: inout SeededRandom) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}

/// Hands out given bytes, so that a test can choose the salt.
struct FixedRandom: RandomNumberGenerator {
    var bytes: [UInt8]

    mutating func next() -> UInt64 {
        defer { bytes.removeFirst(8) }
        return bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    }
}

extension SessionSecret {
    /// A secret that no key exchange has made.
    init(_ bytes: [UInt8]) { self.init(bytes: SecretBytes(copying: bytes), handshakeHash: bytes) }
}

/// One end's view of a stream direction; both ends of a test are made of the same values.
struct Channel {
    var secretBytes = run(from: 0x00)
    var direction = Direction.up
    var stream: Int64 = 4
    var cipher = Cipher.aes256gcm

    var secret: SessionSecret { SessionSecret(secretBytes) }

    /// One end's keys. Each end has its own.
    func keys(seed: UInt64 = 1) -> SessionKeys {
        SessionKeys(secret, cipher: cipher, random: SeededRandom(seed: seed))
    }

    func sealer(seed: UInt64 = 1) -> ChunkSealer {
        ChunkSealer(keys: keys(seed: seed), direction: direction, stream: stream)
    }

    func sealer(salt: [UInt8]) -> ChunkSealer {
        let keys = SessionKeys(secret, cipher: cipher, random: FixedRandom(bytes: salt))
        return ChunkSealer(keys: keys, direction: direction, stream: stream)
    }

    func opener() -> ChunkOpener { ChunkOpener(keys: keys(), direction: direction, stream: stream) }

    func messageOpener() -> MessageOpener { MessageOpener(keys: keys(), direction: direction, stream: stream) }
}

extension ChunkSealer {
    /// One chunk in an array of its own. No check of the payload's size but the sealer's.
    func seal(_ payload: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: sealedSize(payload.count)) { output, count in
            count = payload.withUnsafeBytes { seal($0, into: UnsafeMutableRawBufferPointer(output)) }
        }
    }
}

extension ChunkOpener {
    @discardableResult
    func open(_ bytes: some Collection<UInt8>, into queue: inout BlockQueue) throws(OpenError) -> Int {
        // Rethrowing through a closure loses the error's type.
        var failure: OpenError?
        var done = 0
        Array(bytes).withUnsafeBytes { bytes in
            do throws(OpenError) {
                done = try open(bytes, into: &queue)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return done
    }
}

extension MessageOpener {
    func open(_ bytes: some Collection<UInt8>) throws(OpenError) {
        var failure: OpenError?
        Array(bytes).withUnsafeBytes { bytes in
            do throws(OpenError) {
                try open(bytes)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

extension BlockQueue {
    /// Takes all committed bytes out.
    mutating func drain() -> [UInt8] {
        var bytes: [UInt8] = []
        forEachRegion { region in
            bytes.append(contentsOf: region)
            return true
        }
        consume(count)
        return bytes
    }
}
