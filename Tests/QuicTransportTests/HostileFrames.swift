import CNgtcp2
import Primitives

@testable import QuicTransport

/// Frames that a hostile client writes into its packets in place of what ngtcp2 wanted to say. Since ngtcp2 goes on
/// counting packets and handling what comes back, everything around the frames is as it should be.
final class HostileFrames: @unchecked Sendable {
    /// Used by the thread that runs the test.
    @TaskLocal static var current: HostileFrames?

    /// Bytes of frames for each large packet: gets the room, gives at most as many bytes; nil for an honest packet.
    var next: (Int) -> [UInt8]?
    private(set) var packets = 0

    init(_ next: @escaping (Int) -> [UInt8]?) { self.next = next }

    /// One frame in each packet, with numbers that count up.
    static func oneInEach(from first: UInt64, _ frame: @escaping (UInt64) -> [UInt8]) -> HostileFrames {
        var number = first
        return HostileFrames { _ in
            defer { number += 1 }
            return frame(number)
        }
    }

    /// Only packets of at least this size are written over: those that carry data.
    static let smallestPacket = 600

    fileprivate func payload(_ room: Int) -> [UInt8]? {
        guard room >= Self.smallestPacket, var frames = next(room) else { return nil }
        packets += 1
        precondition(frames.count <= room)
        // The rest is PADDING.
        frames += [UInt8](repeating: 0, count: room - frames.count)
        return frames
    }

    static let encrypt: TransportSettings.Encrypt = {
        destination, aead, context, plaintext, count, nonce, nonceCount, associated, associatedCount in
        guard let frames = HostileFrames.current?.payload(count) else {
            return ngtcp2_crypto_encrypt_cb(
                destination, aead, context, plaintext, count, nonce, nonceCount, associated, associatedCount)
        }
        return ngtcp2_crypto_encrypt_cb(
            destination, aead, context, frames, count, nonce, nonceCount, associated, associatedCount)
    }

    // MARK: Frames (RFC 9000, section 19)

    static func varint(_ value: UInt64) -> [UInt8] {
        switch value {
        case 0..<64: [UInt8(value)]
        case 64..<16_384: [UInt8(value >> 8) | 0x40, UInt8(truncatingIfNeeded: value)]
        case 16_384..<(1 << 30):
            (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) | ($0 == 0 ? 0x80 : 0) }
        default: (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) | ($0 == 0 ? 0xC0 : 0) }
        }
    }

    static func stream(_ id: UInt64, offset: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        [0x0E] + varint(id) + varint(offset) + varint(UInt64(bytes.count)) + bytes
    }

    static func pathChallenge(_ value: UInt64) -> [UInt8] {
        [0x1A] + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    static func newConnectionID(sequence: UInt64, retirePriorTo: UInt64) -> [UInt8] {
        let identifier = (0..<18).map { UInt8(truncatingIfNeeded: sequence >> (8 * UInt64($0 % 8))) ^ UInt8($0) }
        let token = (0..<16).map { UInt8(truncatingIfNeeded: sequence >> (8 * UInt64($0 % 8))) ^ UInt8(0x80 + $0) }
        return [0x18] + varint(sequence) + varint(retirePriorTo) + [18] + identifier + token
    }

    static func retireConnectionID(_ sequence: UInt64) -> [UInt8] { [0x19] + varint(sequence) }
}
