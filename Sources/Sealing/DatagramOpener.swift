/// Why a datagram was not opened. It is dropped, and nothing else follows: anybody may send rubbish.
public enum DatagramRefusal: Error, Equatable, Sendable {
    /// Cut short, or of another stream.
    case malformed
    /// Not what the other end sealed: changed, moved, or sealed under another key.
    case badTag
    /// It came before.
    case replayed
    /// So far behind others that nobody can tell whether it came before.
    case tooOld
}

/// Opens one direction of one association's datagrams, each of them once.
///
/// Opening allocates nothing, but for a new key every 2^24 datagrams. Not for use by two threads at once.
public final class DatagramOpener {
    /// Datagrams that may overtake one before it is refused as too old.
    public static let windowSize = Int(ReplayWindow.size)

    private let secret: SessionSecret
    private let direction: Direction
    private let stream: Int64
    private let algorithm: Cipher
    private var window: ReplayWindow
    private var cipher: AEADContext
    private var keyNumber: UInt64
    /// The key before the present one, for those that were overtaken, or the next one, which becomes the present one
    /// with the first datagram that it opens.
    private var otherCipher: AEADContext?
    private var otherNumber: UInt64 = 0

    /// - Parameter stream: the QUIC stream ID of the association.
    public convenience init(secret: SessionSecret, direction: Direction, stream: Int64, cipher: Cipher) {
        self.init(secret: secret, direction: direction, stream: stream, cipher: cipher, startingAt: 0)
    }

    /// For tests that come near the limits of the counter.
    init(secret: SessionSecret, direction: Direction, stream: Int64, cipher: Cipher, startingAt counter: UInt64) {
        self.secret = secret
        self.direction = direction
        self.stream = stream
        algorithm = cipher
        window = ReplayWindow(startingAt: counter)
        keyNumber = counter >> DatagramFormat.keyLifetimeBits
        self.cipher = AEADContext(
            cipher, key: secret.datagramKey(direction: direction, stream: stream, number: keyNumber), operation: .open)
    }

    /// Opens one datagram.
    /// - Parameter output: has room for `datagram.count` bytes; may not overlap it. After an error its contents mean
    ///   nothing.
    /// - Returns: the clear bytes written.
    public func open(
        _ datagram: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DatagramRefusal) -> Int {
        guard let (quarter, size) = VariableLengthInteger.read(datagram), quarter == UInt64(stream / 4),
            let (counter, more) = VariableLengthInteger.read(UnsafeRawBufferPointer(rebasing: datagram[size...])),
            datagram.count - size - more >= Cipher.tagSize
        else { throw .malformed }
        switch window.verdict(on: counter) {
        case .fresh: break
        case .replayed: throw .replayed
        case .tooOld: throw .tooOld
        }
        precondition(output.count >= datagram.count, "no room for the opened datagram")
        let header = size + more
        let count = datagram.count - header - Cipher.tagSize
        let number = counter >> DatagramFormat.keyLifetimeBits
        if number == keyNumber {
            guard Self.open(datagram, header: header, count: count, counter, cipher, into: output) else {
                throw .badTag
            }
        } else {
            try openUnderOtherKey(datagram, header: header, count: count, counter, number, into: output)
        }
        window.note(counter)
        return count
    }

    @inline(__always)
    private static func open(
        _ datagram: UnsafeRawBufferPointer, header: Int, count: Int, _ counter: UInt64,
        _ cipher: borrowing AEADContext, into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        cipher.begin(nonce: (counter.littleEndian, 0))
        cipher.authenticate(UnsafeRawBufferPointer(rebasing: datagram[..<header]))
        if count > 0 {
            cipher.update(
                UnsafeRawBufferPointer(rebasing: datagram[header..<header + count]), into: output.baseAddress!)
        }
        return cipher.verify(tag: datagram.baseAddress! + header + count)
    }

    /// Only the neighbours of the present key are tried: nobody loses 2^24 datagrams in a row, and a forger must not
    /// have us derive a key for every datagram.
    private func openUnderOtherKey(
        _ datagram: UnsafeRawBufferPointer, header: Int, count: Int, _ counter: UInt64, _ number: UInt64,
        into output: UnsafeMutableRawBufferPointer
    ) throws(DatagramRefusal) {
        guard number == keyNumber &+ 1 || number &+ 1 == keyNumber else { throw .badTag }
        if otherCipher == nil || otherNumber != number {
            otherCipher = AEADContext(
                algorithm, key: secret.datagramKey(direction: direction, stream: stream, number: number),
                operation: .open)
            otherNumber = number
        }
        guard Self.open(datagram, header: header, count: count, counter, otherCipher!, into: output) else {
            throw .badTag
        }
        guard number > keyNumber else { return }
        var next = otherCipher.take()!
        swap(&next, &cipher)
        otherCipher = consume next
        otherNumber = keyNumber
        keyNumber = number
    }
}
