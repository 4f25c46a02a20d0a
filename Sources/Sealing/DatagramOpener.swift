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
/// Opening allocates nothing, but for a new key every 2^24 datagrams and with each epoch. Not for use by two threads at
/// once.
public final class DatagramOpener {
    /// Datagrams that may overtake one before it is refused as too old.
    public static let windowSize = Int(ReplayWindow.size)

    /// Which key a datagram is sealed under.
    private struct KeyName: Equatable {
        let epoch: UInt64
        /// The counter's bits above `DatagramFormat.keyLifetimeBits`.
        let number: UInt64

        /// Both only grow in what one end seals.
        func isNewer(than other: KeyName) -> Bool { epoch > other.epoch || number > other.number }
    }

    private let keys: SessionKeys
    private let direction: Direction
    private let stream: Int64
    private var window: ReplayWindow
    private var cipher: AEADContext
    private var name: KeyName
    /// The key before the present one, for those that were overtaken, or the next one, which becomes the present one
    /// with the first datagram that it opens.
    private var otherCipher: AEADContext?
    private var otherName: KeyName

    /// - Parameter stream: the QUIC stream ID of the association.
    public convenience init(keys: SessionKeys, direction: Direction, stream: Int64) {
        self.init(keys: keys, direction: direction, stream: stream, startingAt: 0)
    }

    /// For tests that come near the limits of the counter.
    init(keys: SessionKeys, direction: Direction, stream: Int64, startingAt counter: UInt64) {
        self.keys = keys
        self.direction = direction
        self.stream = stream
        window = ReplayWindow(startingAt: counter)
        let name = KeyName(epoch: keys.sending, number: counter >> DatagramFormat.keyLifetimeBits)
        self.name = name
        otherName = name
        cipher = AEADContext(
            keys.cipher,
            key: keys.secretOfSending.datagramKey(direction: direction, stream: stream, number: name.number),
            operation: .open)
    }

    /// Opens one datagram.
    /// - Parameter output: has room for `datagram.count` bytes; may not overlap it. After an error its contents mean
    ///   nothing.
    /// - Returns: the clear bytes written.
    public func open(
        _ datagram: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DatagramRefusal) -> Int {
        guard let (quarter, size) = VariableLengthInteger.read(datagram), quarter == UInt64(stream / 4),
            datagram.count > size,
            let (counter, more) = VariableLengthInteger.read(
                UnsafeRawBufferPointer(rebasing: datagram[(size + DatagramFormat.epochSize)...])),
            datagram.count - size - DatagramFormat.epochSize - more >= Cipher.tagSize
        else { throw .malformed }
        switch window.verdict(on: counter) {
        case .fresh: break
        case .replayed: throw .replayed
        case .tooOld: throw .tooOld
        }
        precondition(output.count >= datagram.count, "no room for the opened datagram")
        let header = size + DatagramFormat.epochSize + more
        let count = datagram.count - header - Cipher.tagSize
        // An epoch that is gone needs no more than a look at the byte.
        let mark = datagram[size]
        let number = counter >> DatagramFormat.keyLifetimeBits
        if number == name.number, mark == UInt8(truncatingIfNeeded: name.epoch) {
            guard Self.open(datagram, header: header, count: count, counter, cipher, into: output) else {
                throw .badTag
            }
        } else {
            guard let epoch = keys.epoch(markedBy: mark) else { throw .badTag }
            let name = KeyName(epoch: epoch, number: number)
            try openUnderOtherKey(datagram, header: header, count: count, counter, name, into: output)
        }
        window.note(counter)
        keys.bytesOfNewest &+= UInt64(count)
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
        _ datagram: UnsafeRawBufferPointer, header: Int, count: Int, _ counter: UInt64, _ name: KeyName,
        into output: UnsafeMutableRawBufferPointer
    ) throws(DatagramRefusal) {
        guard name.number <= self.name.number &+ 1, self.name.number <= name.number &+ 1 else { throw .badTag }
        if otherCipher == nil || otherName != name {
            guard let secret = keys.secret(of: name.epoch) else { throw .badTag }
            let key = secret.datagramKey(direction: direction, stream: stream, number: name.number)
            otherCipher = AEADContext(keys.cipher, key: key, operation: .open)
            otherName = name
        }
        guard Self.open(datagram, header: header, count: count, counter, otherCipher!, into: output) else {
            throw .badTag
        }
        keys.noteOpened(under: name.epoch)
        guard name.isNewer(than: self.name) else { return }
        var next = otherCipher.take()!
        swap(&next, &cipher)
        otherCipher = consume next
        otherName = self.name
        self.name = name
    }
}
