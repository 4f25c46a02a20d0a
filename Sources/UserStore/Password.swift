import COpenSSL
import Foundation

/// A password in memory that is overwritten when the last owner lets go. Immutable after `init`, hence Sendable.
public final class Password: @unchecked Sendable {
    /// Bytes of the longest one: no more fits into the message that brings it (docs/PROTOCOL.md, section 5).
    public static let maximumSize = 255
    /// Characters of the shortest one that an administrator may set. Login takes any: it is wrong anyway.
    public static let minimumCharacters = 8

    private let memory: UnsafeMutableRawBufferPointer

    /// Nil where the bytes are no text, none, or too many. Accents may be written in two ways (RFC 8265, section 4.2.2): they are
    /// brought into one, since a keyboard does not say which it sends.
    public init?(_ bytes: some Collection<UInt8>) {
        guard (1...Self.maximumSize).contains(bytes.count) else { return nil }
        // ASCII has no second form, and so leaves no copies behind; those of Foundation cannot be overwritten.
        guard !bytes.allSatisfy({ $0 < 0x80 }) else {
            memory = .allocate(byteCount: bytes.count, alignment: 16)
            memory.copyBytes(from: bytes)
            return
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var normal = Array(text.precomposedStringWithCanonicalMapping.utf8)
        memory = .allocate(byteCount: normal.count, alignment: 16)
        memory.copyBytes(from: normal)
        normal.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(UnsafeRawBufferPointer(memory)) }
}
