/// Seals one direction of one association's datagrams: each by itself, under a counter of its own, so that they open in
/// any order and whichever are missing.
///
/// Sealing allocates nothing, but for a new key every 2^24 datagrams and with each epoch. Not for use by two threads at
/// once.
public final class DatagramSealer {
    private let keys: SessionKeys
    private let direction: Direction
    private let stream: Int64
    private var cipher: AEADContext
    private var epoch: UInt64
    private var keyNumber: UInt64
    /// Of the next datagram.
    private(set) var counter: UInt64

    /// - Parameter stream: the QUIC stream ID of the association, which the client has opened.
    public convenience init(keys: SessionKeys, direction: Direction, stream: Int64) {
        self.init(keys: keys, direction: direction, stream: stream, startingAt: 0)
    }

    /// For tests that come near the limits of the counter.
    init(keys: SessionKeys, direction: Direction, stream: Int64, startingAt counter: UInt64) {
        precondition(stream >= 0 && stream % 4 == 0, "an association's stream is a bidirectional one of the client")
        self.keys = keys
        self.direction = direction
        self.stream = stream
        self.counter = counter
        epoch = keys.sending
        let number = counter >> DatagramFormat.keyLifetimeBits
        keyNumber = number
        cipher = AEADContext(
            keys.cipher, key: keys.secretOfSending.datagramKey(direction: direction, stream: stream, number: number),
            operation: .seal)
    }

    /// Bytes of the next datagram, if `count` bytes are sealed in it.
    public func sealedSize(_ count: Int) -> Int {
        VariableLengthInteger.size(UInt64(stream / 4)) + DatagramFormat.epochSize + VariableLengthInteger.size(counter)
            + count + Cipher.tagSize
    }

    /// Seals `payload` and `trailer`, one behind the other, as one datagram.
    /// - Parameter output: has room for `sealedSize(payload.count + trailer.count)` bytes; may not overlap the payload.
    /// - Returns: bytes written; nil when the counter has come to its end at 2^62, where the association must end too.
    public func seal(
        _ payload: UnsafeRawBufferPointer, _ trailer: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard counter <= VariableLengthInteger.maximum else { return nil }
        precondition(output.count >= sealedSize(payload.count + trailer.count), "no room for the sealed datagram")
        if epoch != keys.sending || counter >> DatagramFormat.keyLifetimeBits != keyNumber { takeNextKey() }
        let start = output.baseAddress!
        var position = start + VariableLengthInteger.write(UInt64(stream / 4), to: start)
        position.storeBytes(of: UInt8(truncatingIfNeeded: epoch), as: UInt8.self)
        position += DatagramFormat.epochSize
        position += VariableLengthInteger.write(counter, to: position)
        cipher.begin(nonce: (counter.littleEndian, 0))
        cipher.authenticate(UnsafeRawBufferPointer(start: start, count: position - start))
        cipher.update(payload, into: position)
        position += payload.count
        cipher.update(trailer, into: position)
        position += trailer.count
        cipher.finish(tag: position)
        counter += 1
        keys.bytesOfNewest &+= UInt64(payload.count)
        return position + Cipher.tagSize - start
    }

    private func takeNextKey() {
        epoch = keys.sending
        keyNumber = counter >> DatagramFormat.keyLifetimeBits
        let key = keys.secretOfSending.datagramKey(direction: direction, stream: stream, number: keyNumber)
        cipher = AEADContext(keys.cipher, key: key, operation: .seal)
    }
}
