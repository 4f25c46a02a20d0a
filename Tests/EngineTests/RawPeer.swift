import Primitives
import QuicTransport
import Sealing
import Tunnel

/// One end of a QUIC connection that knows the sealed layer and keeps no rule: it sends what a test gives it and writes
/// down what comes.
final class RawPeer: QuicConnectionOwner {
    static let serverPair = KeyPair(privateKey: [UInt8](repeating: 7, count: 32))!
    static let clientPair = KeyPair(privateKey: [UInt8](repeating: 8, count: 32))!

    var connection: QuicConnection?
    var opened: [QuicStream] = []
    var received: [Int64: [UInt8]] = [:]
    var finished: Set<Int64> = []
    var resets: [Int64: UInt64] = [:]
    var stops: [Int64: UInt64] = [:]
    var datagrams: [[UInt8]] = []
    /// What the peer may send is given back as it comes.
    var passesOn = true
    private(set) var events: [ConnectionEvent] = []
    /// Once a key exchange was begun.
    private(set) var control: ControlStream?
    /// Bytes of the control stream that were handed to it.
    private var heard = 0

    var closeReason: CloseReason? {
        for case .closed(let reason) in events { return reason }
        return nil
    }

    func takeEvents() { while let event = connection?.nextEvent() { events.append(event) } }

    private var exporter: [UInt8] {
        connection?.exportKeyingMaterial(
            label: KeyExchangeBinding.exporterLabel, context: [], count: KeyExchangeBinding.exporterSize) ?? []
    }

    /// The keys of the connection; such as nobody else has before the key exchange.
    var keys: SessionKeys { control?.keys ?? Self.strangeKeys }

    private static var strangeKeys: SessionKeys {
        let sink = ByteSink()
        let exporter = [UInt8](repeating: 0, count: KeyExchangeBinding.exporterSize)
        let client = ControlStream(
            client: clientPair, server: serverPair.publicKey, cipher: .aes256gcm, exporter: exporter,
            random: SystemRandomNumberGenerator())
        let server = ControlStream(
            server: serverPair, ciphers: Cipher.allCases, exporter: exporter, random: SystemRandomNumberGenerator())
        _ = try? client.start(to: sink)
        try? sink.bytes.withUnsafeBytes { try server.receive($0, answeringTo: ByteSink()) }
        guard let keys = server.keys else { fatalError("a key exchange between two good ends fails") }
        return keys
    }

    /// Begins the control stream as a client does: the first message of the key exchange.
    func beginAsClient(_ own: KeyPair = clientPair, cipher: Cipher = .aes256gcm) throws -> [UInt8] {
        let stream = ControlStream(
            client: own, server: Self.serverPair.publicKey, cipher: cipher, exporter: exporter,
            random: SystemRandomNumberGenerator())
        control = stream
        let sink = ByteSink()
        _ = try stream.start(to: sink)
        return sink.bytes
    }

    func beginAsServer() -> ControlStream {
        let stream = ControlStream(
            server: Self.serverPair, ciphers: Cipher.allCases, exporter: exporter,
            random: SystemRandomNumberGenerator())
        control = stream
        return stream
    }

    /// Hands what has come on the control stream to it.
    /// - Returns: what it answers at once.
    @discardableResult
    func hear() throws -> [UInt8] {
        let bytes = received[TunnelProtocol.controlStream] ?? []
        let fresh = Array(bytes[min(heard, bytes.count)...])
        heard = bytes.count
        let sink = ByteSink()
        try fresh.withUnsafeBytes { try control?.receive($0, answeringTo: sink) }
        return sink.bytes
    }

    func sealed(_ stream: QuicStream, _ role: Role) -> FlowStream {
        FlowStream(keys: keys, stream: stream.id.rawValue, role: role)
    }

    /// As they are, without a seal.
    func send(_ bytes: [UInt8], on stream: QuicStream) {
        for byte in stride(from: 0, to: bytes.count, by: BlockPool.capacity) {
            let part = bytes[byte..<min(byte + BlockPool.capacity, bytes.count)]
            stream.space(minimum: part.count)?.copyBytes(from: part)
            stream.commit(part.count)
        }
    }

    func send(datagram: [UInt8], now: Instant) {
        _ = datagram.withUnsafeBytes { connection?.sendDatagram($0, now: now) }
    }

    func connection(_ connection: QuicConnection, opened stream: QuicStream) { opened.append(stream) }

    func connection(
        _ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream
    ) {
        received[stream.id.rawValue, default: []] += bytes
        if passesOn { connection.extendCredit(on: stream, by: bytes.count) }
    }

    func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        finished.insert(stream.id.rawValue)
    }

    func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        resets[stream.id.rawValue] = code
    }

    func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        stops[stream.id.rawValue] = code
    }

    func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {}
    func connection(_ connection: QuicConnection, closed stream: QuicStream) {}
    func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        datagrams.append(Array(bytes))
    }
    func connectionCanOpenStreams(_ connection: QuicConnection) {}
}

/// The bytes that a sealer writes, as they are.
final class ByteSink: ByteOutput {
    private(set) var bytes: [UInt8] = []
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: BlockPool.capacity, alignment: 16)

    deinit { memory.deallocate() }

    func space(minimum: Int) -> UnsafeMutableRawBufferPointer? { memory }
    func commit(_ count: Int) { bytes += memory[..<count] }
}

extension ControlStream {
    func sealedBytes(_ message: [UInt8]) -> [UInt8] {
        let sink = ByteSink()
        _ = send(message, to: sink)
        return sink.bytes
    }
}

extension FlowStream {
    func sealedBytes(message: [UInt8]) -> [UInt8] {
        let sink = ByteSink()
        _ = send(message: message, to: sink)
        return sink.bytes
    }

    func sealedBytes(_ data: [UInt8]) -> [UInt8] {
        let sink = ByteSink()
        _ = data.withUnsafeBytes { seal($0, to: sink) }
        return sink.bytes
    }
}
