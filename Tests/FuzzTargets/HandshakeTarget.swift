import Primitives
import Sealing
import Tunnel

/// Bytes as what a stranger says on the control stream, before, instead of and behind a good key exchange. Nobody comes to
/// have keys who does not have the right ones, and no message opens that nobody sealed.
func fuzzHandshake(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let ends = HandshakeEnds()
    switch input.byte() % 4 {
    case 0: ends.serverHears(input.slice(.max))
    case 1: ends.serverHearsChanged(&input)
    case 2: ends.clientHearsChanged(&input)
    default: ends.bothHearMore(&input)
    }
}

/// Both ends of a control stream, the same each time.
private final class HandshakeEnds {
    private let client: ControlStream
    private let server: ControlStream
    private let up = Output()
    private let down = Output()

    final class Output: ByteOutput {
        private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 16)
        private(set) var bytes: [UInt8] = []

        deinit { memory.deallocate() }
        func space(minimum: Int) -> UnsafeMutableRawBufferPointer? { minimum <= memory.count ? memory : nil }
        func commit(_ count: Int) { bytes += memory[..<count] }
    }

    init() {
        let exporter = [UInt8](repeating: 1, count: KeyExchangeBinding.exporterSize)
        guard let serverPair = KeyPair(privateKey: [UInt8](repeating: 2, count: 32)),
            let clientPair = KeyPair(privateKey: [UInt8](repeating: 3, count: 32))
        else { fatalError("32 bytes are a key") }
        client = ControlStream(
            client: clientPair, server: serverPair.publicKey, cipher: .aes256gcm, exporter: exporter,
            random: FixedNumbers())
        server = ControlStream(server: serverPair, ciphers: Cipher.allCases, exporter: exporter, random: FixedNumbers())
        require((try? client.start(to: up)) == true, "a good key exchange does not begin")
    }

    /// Nothing of the client's was heard.
    func serverHears(_ bytes: UnsafeRawBufferPointer) {
        try? server.receive(bytes, answeringTo: down)
        require(server.keys == nil || bytes.count >= up.bytes.count, "keys from less than a whole message")
        require(server.nextMessage() == nil, "a message that nobody sealed")
    }

    func serverHearsChanged(_ input: inout FuzzInput) {
        let (bytes, isChanged) = Self.changed(up.bytes, &input)
        bytes.withUnsafeBytes { try? server.receive($0, answeringTo: down) }
        require(server.keys == nil || !isChanged, "a changed key exchange opens")
        try? server.receive(input.slice(.max), answeringTo: down)
        require(server.nextMessage() == nil, "a message that nobody sealed")
    }

    func clientHearsChanged(_ input: inout FuzzInput) {
        up.bytes.withUnsafeBytes { try? server.receive($0, answeringTo: down) }
        let (bytes, isChanged) = Self.changed(down.bytes, &input)
        bytes.withUnsafeBytes { try? client.receive($0, answeringTo: up) }
        require(client.keys == nil || !isChanged, "a changed answer opens")
        try? client.receive(input.slice(.max), answeringTo: up)
        require(client.nextMessage() == nil, "a message that nobody sealed")
    }

    /// Behind a good key exchange: sealed bytes, and messages of another key exchange, that were made up.
    func bothHearMore(_ input: inout FuzzInput) {
        up.bytes.withUnsafeBytes { try? server.receive($0, answeringTo: down) }
        down.bytes.withUnsafeBytes { try? client.receive($0, answeringTo: up) }
        guard let clientKeys = client.keys, let serverKeys = server.keys else { fatalError("no good key exchange") }
        let message = Array(input.slice(Int(input.byte())))
        require((try? server.answerRekey(message)) == nil, "a made-up key exchange is answered")
        require((try? client.beginRekey()) != nil, "no other key exchange begins")
        require((try? client.finishRekey(message)) == nil, "a made-up answer opens")
        require(clientKeys.newest == 0 && serverKeys.newest == 0, "an epoch from nothing")
        let rest = input.slice(.max)
        try? server.receive(rest, answeringTo: down)
        try? client.receive(rest, answeringTo: up)
        require(server.nextMessage() == nil && client.nextMessage() == nil, "a message that nobody sealed")
    }

    /// Some bytes replaced, at places that the input names.
    private static func changed(_ good: [UInt8], _ input: inout FuzzInput) -> (bytes: [UInt8], isChanged: Bool) {
        var bytes = good
        for _ in 0..<Int(input.byte() % 5) { bytes[Int(input.byte()) % bytes.count] = input.byte() }
        return (bytes, bytes != good)
    }
}
