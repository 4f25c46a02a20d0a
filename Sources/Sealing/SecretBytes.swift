import COpenSSL

/// Key material in memory that is overwritten when the last owner lets go. Immutable after `init`, hence Sendable.
public final class SecretBytes: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer

    /// - Parameter fill: writes all `count` bytes.
    init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        memory = .allocate(byteCount: count, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        fill(memory)
    }

    /// The bytes given are the caller's to wipe; see `wipe`.
    public convenience init(copying bytes: some Collection<UInt8>) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// The bytes of all of them, one after the other.
    public convenience init(joining parts: [SecretBytes]) {
        self.init(count: parts.reduce(0) { $0 + $1.count }) { memory in
            var place = 0
            for part in parts {
                part.withBytes { UnsafeMutableRawBufferPointer(rebasing: memory[place...]).copyMemory(from: $0) }
                place += part.count
            }
        }
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    public var count: Int { memory.count }

    /// The bytes are good inside `body` alone.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(UnsafeRawBufferPointer(memory)) }

    /// Compares in a time that depends on the lengths alone.
    func equals(_ other: SecretBytes) -> Bool {
        count == other.count && CRYPTO_memcmp(memory.baseAddress, other.memory.baseAddress, count) == 0
    }

    /// Overwrites bytes that held a secret on their way. The array must have no other owner, else the other keeps them.
    public static func wipe(_ bytes: inout [UInt8]) {
        bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
        bytes.removeAll()
    }
}

extension SecretBytes: Equatable {
    public static func == (a: SecretBytes, b: SecretBytes) -> Bool { a.equals(b) }
}

extension SecretBytes: CustomStringConvertible, CustomReflectable {
    public var description: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
