import Primitives
import Sealing

/// One thing to measure.
struct Case {
    let name: String
    /// Payload bytes of one operation; zero where it carries none.
    let bytes: Int
    let mustNotAllocate: Bool
    /// The name of the case whose time this one's is divided by.
    var comparedWith: String?
    /// Makes what it needs, and gives what does it so often.
    let prepare: () -> (Int) -> Void
}

enum Cases {
    static var all: [Case] {
        Cipher.allCases.flatMap { cipher in
            // What is compared stands side by side.
            [RawCipher.sealing(cipher, rawSize)]
                + [rawSize, 1_400, 64].flatMap { size in [sealChunk(cipher, size), openChunk(cipher, size)] }
                + [1_200, 64].flatMap { size in [sealDatagram(cipher, size), openDatagram(cipher, size)] }
                + [newSealer(cipher), keyExchange(cipher)]
        }
    }

    /// Bytes of the chunk that is compared with the bare cipher.
    private static let rawSize = 16_000

    private static let exporter = [UInt8](repeating: 3, count: KeyExchangeBinding.exporterSize)

    /// Both ends' keys of a connection.
    private static func keys(_ cipher: Cipher) -> (client: SessionKeys, server: SessionKeys) {
        var random = SystemRandomNumberGenerator()
        let server = KeyPair.generate(using: &random)
        let client = KeyPair.generate(using: &random)
        let (mine, theirs) = exchange(client, server, cipher, &random)
        return (
            SessionKeys(mine, cipher: cipher, random: random), SessionKeys(theirs, cipher: cipher, random: random)
        )
    }

    private static func exchange(
        _ client: KeyPair, _ server: KeyPair, _ cipher: Cipher, _ random: inout SystemRandomNumberGenerator
    ) -> (SessionSecret, SessionSecret) {
        let binding = KeyExchangeBinding(exporter: exporter)
        do {
            let begun = try ClientKeyExchange(
                client, server: server.publicKey, cipher: cipher, binding: binding, random: &random)
            let answer = try ServerKeyExchange.answer(
                begun.message, server, cipher: cipher, binding: binding, random: &random)
            return (try begun.finish(answer.message), answer.secret)
        } catch {
            fatalError("a key exchange between two good ends fails: \(error)")
        }
    }

    static func memory(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 7)
        return memory
    }

    private static func sealChunk(_ cipher: Cipher, _ size: Int) -> Case {
        Case(
            name: "seal-chunk/\(cipher.rawValue)/\(size)", bytes: size, mustNotAllocate: true,
            comparedWith: size == rawSize ? RawCipher.name(cipher, size) : nil
        ) {
            let sealer = ChunkSealer(keys: keys(cipher).client, direction: .up, stream: 4)
            let payload = UnsafeRawBufferPointer(memory(size))
            let output = memory(size + ChunkSealer.overhead + ChunkSealer.headerSize)
            return { count in
                for _ in 0..<count { _ = sealer.seal(payload, into: output) }
            }
        }
    }

    /// With a sealer that makes the chunks, whose time the other case tells: a chunk opens once and in its turn.
    private static func openChunk(_ cipher: Cipher, _ size: Int) -> Case {
        Case(name: "seal-open-chunk/\(cipher.rawValue)/\(size)", bytes: size, mustNotAllocate: true) {
            let keys = keys(cipher)
            let sealer = ChunkSealer(keys: keys.client, direction: .up, stream: 4)
            let opener = ChunkOpener(keys: keys.server, direction: .up, stream: 4)
            let payload = UnsafeRawBufferPointer(memory(size))
            let output = memory(size + ChunkSealer.overhead + ChunkSealer.headerSize)
            let queue = Queue()
            queue.open(sealer.seal(message: [1]), opener)
            return { count in
                for _ in 0..<count {
                    let sealed = sealer.seal(payload, into: output)
                    queue.open(UnsafeRawBufferPointer(rebasing: output[..<sealed]), opener)
                }
            }
        }
    }

    /// What is opened goes here and is consumed at once.
    private final class Queue {
        private var queue = BlockQueue(pool: BlockPool(byteLimit: 1 << 20))

        func open(_ bytes: [UInt8], _ opener: ChunkOpener) {
            bytes.withUnsafeBytes { open($0, opener) }
            _ = opener.takeFirstChunk()
        }

        func open(_ bytes: UnsafeRawBufferPointer, _ opener: ChunkOpener) {
            do { _ = try opener.open(bytes, into: &queue) } catch {
                fatalError("what was sealed does not open: \(error)")
            }
            queue.consume(queue.count)
        }
    }

    private static func sealDatagram(_ cipher: Cipher, _ size: Int) -> Case {
        Case(name: "seal-datagram/\(cipher.rawValue)/\(size)", bytes: size, mustNotAllocate: true) {
            let sealer = DatagramSealer(keys: keys(cipher).client, direction: .up, stream: 4)
            let payload = UnsafeRawBufferPointer(memory(size))
            let trailer = UnsafeRawBufferPointer(memory(1))
            let output = memory(size + 1 + DatagramFormat.maximumOverhead)
            return { count in
                for _ in 0..<count { _ = sealer.seal(payload, trailer, into: output) }
            }
        }
    }

    private static func openDatagram(_ cipher: Cipher, _ size: Int) -> Case {
        Case(name: "seal-open-datagram/\(cipher.rawValue)/\(size)", bytes: size, mustNotAllocate: true) {
            let keys = keys(cipher)
            let sealer = DatagramSealer(keys: keys.client, direction: .up, stream: 4)
            let opener = DatagramOpener(keys: keys.server, direction: .up, stream: 4)
            let payload = UnsafeRawBufferPointer(memory(size))
            let trailer = UnsafeRawBufferPointer(memory(1))
            let output = memory(size + 1 + DatagramFormat.maximumOverhead)
            let opened = memory(output.count)
            return { count in
                for _ in 0..<count {
                    guard let sealed = sealer.seal(payload, trailer, into: output),
                        (try? opener.open(UnsafeRawBufferPointer(rebasing: output[..<sealed]), into: opened)) != nil
                    else { fatalError("what was sealed does not open") }
                }
            }
        }
    }

    /// What a direction of a stream costs before its first byte: a key, and the cipher made ready for it.
    private static func newSealer(_ cipher: Cipher) -> Case {
        Case(name: "new-sealer/\(cipher.rawValue)", bytes: 0, mustNotAllocate: false) {
            let keys = keys(cipher).client
            return { count in
                for _ in 0..<count { _ = ChunkSealer(keys: keys, direction: .up, stream: 4) }
            }
        }
    }

    /// Both ends together.
    private static func keyExchange(_ cipher: Cipher) -> Case {
        Case(name: "key-exchange/\(cipher.rawValue)", bytes: 0, mustNotAllocate: false) {
            var random = SystemRandomNumberGenerator()
            let server = KeyPair.generate(using: &random)
            let client = KeyPair.generate(using: &random)
            return { count in
                var random = SystemRandomNumberGenerator()
                for _ in 0..<count { _ = exchange(client, server, cipher, &random) }
            }
        }
    }
}
