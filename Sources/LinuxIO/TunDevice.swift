import CLinux
import Glibc
import Packets
import Primitives

/// What the kernel may leave undone in packets that it gives to a TUN device (linux/if_tun.h, TUN_F_…).
public struct TunOffload: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// TCP and UDP checksums.
    public static let csum = TunOffload(rawValue: 0x01)
    /// TCP super-segments over IPv4 and IPv6.
    public static let tso4 = TunOffload(rawValue: 0x02)
    public static let tso6 = TunOffload(rawValue: 0x04)
    /// The same with ECN's CWR bit set.
    public static let tsoECN = TunOffload(rawValue: 0x08)
    /// UDP super-segments over IPv4 and IPv6 (Linux 6.2).
    public static let uso4 = TunOffload(rawValue: 0x20)
    public static let uso6 = TunOffload(rawValue: 0x40)

    /// From most to least; the kernel takes a set whole or not at all.
    static let attempts: [TunOffload] = [
        [.csum, .tso4, .tso6, .tsoECN, .uso4, .uso6], [.csum, .tso4, .tso6, .tsoECN], [.csum],
    ]
}

/// What became of a packet.
public enum WriteResult: Equatable, Sendable {
    case written
    /// Offer it again when the device is writable.
    case wouldBlock
    /// The kernel refused it: EINVAL for a header that does not fit the packet, EIO while the interface is down.
    case dropped(errno: Int32)
}

/// A TUN device for IPv4 and IPv6 packets, each with a virtio header, which vanishes with this object.
public final class TunDevice {
    public struct Counters: Equatable, Sendable {
        public var readPackets = 0
        public var readBytes = 0
        /// Reads whose virtio header made no sense.
        public var malformed = 0
        public var writtenPackets = 0
        public var writtenBytes = 0
        public var dropped = 0
    }

    /// A buffer of this size holds every packet that `read` can give.
    public static let maximumPacket = 65_535
    /// The most pieces that one packet may be written from.
    public static let maximumPieces = 64

    public let name: String
    /// What the kernel accepted; empty when offload was not wanted.
    public let offload: TunOffload
    public private(set) var counters = Counters()

    private let file: Descriptor
    /// The header's memory first, then that of the packet's pieces.
    private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: 1 + maximumPieces)
    private let headerMemory = UnsafeMutableRawPointer.allocate(byteCount: VirtioHeader.byteCount, alignment: 8)

    /// - Parameter name: the interface's name, or a pattern such as `tun%d`.
    public init(name: String, offload: Bool = true) throws(TunError) {
        guard Self.isInterfaceName(name) else { throw .badName(name) }
        do {
            file = try Descriptor(clinux_tun_open(), "open /dev/net/tun")
        } catch {
            switch error.code {
            case ENOENT, ENODEV, ENXIO: throw TunError.noDriver
            case EPERM, EACCES: throw TunError.notPermitted
            default: throw TunError.system(error)
            }
        }
        self.name = try Self.attach(file.number, name)
        let descriptor = file.number
        self.offload =
            offload
            ? TunOffload.attempts.first { clinux_tun_set_offload(descriptor, $0.rawValue) == 0 } ?? [] : []
    }

    deinit {
        vectors.deallocate()
        headerMemory.deallocate()
    }

    public var descriptor: Int32 { file.number }

    private static func attach(_ descriptor: Int32, _ name: String) throws(TunError) -> String {
        let (code, given) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16) { result in
            result.initialize(repeating: 0)
            let code = clinux_tun_attach(descriptor, name, result.baseAddress)
            return (-code, String(cString: result.baseAddress!))
        }
        switch code {
        case 0: return given
        case EPERM, EACCES: throw .notPermitted
        // EINVAL: the name belongs to an interface of another kind.
        case EBUSY, EEXIST, EINVAL: throw .nameInUse(name)
        default: throw .system(SystemError(code: code, operation: "make the TUN device \(name)"))
        }
    }

    /// What the kernel takes as a name (net/core/dev.c, dev_valid_name).
    private static func isInterfaceName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
    }

    // MARK: Packets

    /// Reads one packet to the buffer's start.
    /// - Parameter buffer: `maximumPacket` bytes hold every packet; what does not fit is cut off.
    /// - Returns: the packet's bytes and its header, or nil when none is waiting.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> (
        count: Int, header: VirtioHeader
    )? {
        vectors[0] = iovec(iov_base: headerMemory, iov_len: VirtioHeader.byteCount)
        vectors[1] = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
        while true {
            let count = clinux_readv(file.number, vectors, 2)
            if count < 0 {
                if count == -Int(EAGAIN) { return nil }
                throw SystemError(code: Int32(-count), operation: "read from \(name)")
            }
            let raw = UnsafeRawBufferPointer(start: headerMemory, count: VirtioHeader.byteCount)
            guard count >= VirtioHeader.byteCount, let header = VirtioHeader(raw.bytes) else {
                counters.malformed += 1
                continue
            }
            counters.readPackets += 1
            counters.readBytes += count - VirtioHeader.byteCount
            return (count - VirtioHeader.byteCount, header)
        }
    }

    /// Writes one packet, which lies in up to `maximumPieces` pieces.
    public func write(header: VirtioHeader, vectors pieces: UnsafeBufferPointer<iovec>) -> WriteResult {
        guard pieces.count <= Self.maximumPieces else {
            counters.dropped += 1
            return .dropped(errno: EMSGSIZE)
        }
        for index in pieces.indices { vectors[1 + index] = pieces[index] }
        return write(header, pieces: pieces.count)
    }

    /// Writes one packet: its headers, then its payload.
    public func write(
        header: VirtioHeader, head: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer = .init(start: nil, count: 0)
    ) -> WriteResult {
        vectors[1] = iovec(iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress), iov_len: head.count)
        vectors[2] = iovec(iov_base: UnsafeMutableRawPointer(mutating: body.baseAddress), iov_len: body.count)
        return write(header, pieces: body.isEmpty ? 1 : 2)
    }

    private func write(_ header: VirtioHeader, pieces: Int) -> WriteResult {
        header.store(to: headerMemory)
        vectors[0] = iovec(iov_base: headerMemory, iov_len: VirtioHeader.byteCount)
        let count = clinux_writev(file.number, vectors, Int32(1 + pieces))
        if count >= 0 {
            counters.writtenPackets += 1
            counters.writtenBytes += count - VirtioHeader.byteCount
            return .written
        }
        if count == -Int(EAGAIN) { return .wouldBlock }
        counters.dropped += 1
        return .dropped(errno: Int32(-count))
    }
}
