/// The secrets of one connection at one end: one for each epoch that is in use.
///
/// A connection begins with epoch 0; every further key exchange adds one. Sealers look here for the epoch to seal under,
/// openers for the one that a stream or datagram names. Of one thread, together with all sealers and openers made of it.
public final class SessionKeys {
    /// The most epochs at once: when one more comes, the oldest is wiped. What the other end has begun under that and could not
    /// deliver since, because nobody read the stream, does not open any more.
    public static let maximumEpochs = 64

    public let cipher: Cipher
    // Those without the check of exclusivity are looked at for every chunk, and nothing is called while one of them is being
    // changed.
    /// Clear bytes sealed and opened since the newest epoch began.
    @exclusivity(unchecked) public internal(set) var bytesOfNewest: UInt64 = 0
    /// The epoch that this end seals under: one that the other end is known to have.
    @exclusivity(unchecked) public private(set) var sending: UInt64 = 0
    private struct Epoch {
        let secret: SessionSecret
        /// Stream directions whose present section is of this epoch: the next one may be of any epoch from here on.
        var openers = 0
    }

    /// Oldest first, numbered without gaps; never empty.
    @exclusivity(unchecked) private var epochs: [Epoch]
    /// The number of the newest.
    @exclusivity(unchecked) public private(set) var newest: UInt64 = 0
    private var random: any RandomNumberGenerator

    /// - Parameter random: makes the salts of streams.
    public init(_ secret: SessionSecret, cipher: Cipher, random: any RandomNumberGenerator) {
        epochs = [Epoch(secret: secret)]
        self.cipher = cipher
        self.random = random
    }

    /// How many secrets are kept.
    public var count: Int { epochs.count }

    /// Begins an epoch.
    /// - Parameter isShared: the other end is known to have it, so this one seals under it from here on. Otherwise that
    ///   waits until something opens that the other end sealed under it.
    public func add(_ secret: SessionSecret, isShared: Bool) {
        precondition(sending == newest, "the epoch before is not shared yet")
        epochs.append(Epoch(secret: secret))
        if epochs.count > Self.maximumEpochs { epochs.removeFirst() }
        newest += 1
        bytesOfNewest = 0
        if isShared { sending = newest }
    }

    /// Wipes the secrets that nothing uses any more: this end seals under a later one, and every stream that it opens has
    /// moved on, so that only what has been on its way since before the key exchange could still be sealed under them.
    public func wipeOld() {
        let needed = Int(newest - sending) + 1
        while epochs.count > needed, epochs[0].openers == 0 { epochs.removeFirst() }
    }

    private func index(of epoch: UInt64) -> Int? {
        guard epoch <= newest, newest - epoch < UInt64(epochs.count) else { return nil }
        return epochs.count - 1 - Int(newest - epoch)
    }

    /// A stream direction begins, or goes on, under this epoch.
    func retain(_ epoch: UInt64) { if let index = index(of: epoch) { epochs[index].openers += 1 } }

    /// It has moved on, or ended.
    func release(_ epoch: UInt64) { if let index = index(of: epoch) { epochs[index].openers -= 1 } }

    /// Something opened that the other end sealed under this epoch.
    @inline(__always)
    func noteOpened(under epoch: UInt64) {
        if epoch > sending { sending = epoch }
    }

    func secret(of epoch: UInt64) -> SessionSecret? {
        index(of: epoch).map { epochs[$0].secret }
    }

    /// The secret that sealers take.
    var secretOfSending: SessionSecret {
        guard let secret = secret(of: sending) else { preconditionFailure("the epoch to seal under was wiped") }
        return secret
    }

    /// The secret that the next key exchange is bound to.
    public var newestSecret: SessionSecret { epochs[epochs.count - 1].secret }

    /// The epoch that one byte on the wire names: there are so few that the lowest eight bits tell them apart.
    @inline(__always)
    func epoch(markedBy mark: UInt8) -> UInt64? {
        let age = UInt8(truncatingIfNeeded: newest) &- mark
        guard Int(age) < epochs.count else { return nil }
        return newest - UInt64(age)
    }

    func makeSalt() -> (UInt64, UInt64, UInt64, UInt64) {
        (random.next(), random.next(), random.next(), random.next())
    }
}
