import Primitives

// Messages of rtnetlink(7) as bytes, in the machine's own byte order, each part padded to four bytes.
// Numbers from linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h and linux/fib_rules.h.

public enum AddressFamily: UInt8, CaseIterable, Sendable {
    case ipv4 = 2
    case ipv6 = 10

    public init(_ address: IPAddress) { self = address.isIPv4 ? .ipv4 : .ipv6 }
}

enum MessageType {
    static let error: UInt16 = 2
    static let done: UInt16 = 3
    static let newLink: UInt16 = 16
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let newRoute: UInt16 = 24
    static let deleteRoute: UInt16 = 25
    static let getRoute: UInt16 = 26
    static let newRule: UInt16 = 32
    static let deleteRule: UInt16 = 33
    static let getRule: UInt16 = 34
}

struct MessageFlags: OptionSet {
    let rawValue: UInt16

    static let request = MessageFlags(rawValue: 0x1)
    static let acknowledge = MessageFlags(rawValue: 0x4)
    static let dump = MessageFlags(rawValue: 0x300)
    static let replace = MessageFlags(rawValue: 0x100)
    static let exclusive = MessageFlags(rawValue: 0x200)
    static let create = MessageFlags(rawValue: 0x400)
    /// In answers: the request is not repeated, and attributes follow.
    static let capped = MessageFlags(rawValue: 0x100)
    static let attributesFollow = MessageFlags(rawValue: 0x200)
}

/// A request under construction.
struct NetlinkRequest {
    static let headerSize = 16
    private(set) var bytes: [UInt8]

    init(_ type: UInt16, _ flags: MessageFlags) {
        bytes = []
        append(UInt32(0))
        append(type)
        append(flags.rawValue)
        append(UInt32(0))
        append(UInt32(0))
    }

    mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ payload: [UInt8]) { bytes += payload }

    mutating func append(attribute type: UInt16, _ value: [UInt8]) {
        append(UInt16(4 + value.count))
        append(type)
        bytes += value
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    mutating func append(attribute type: UInt16, _ value: UInt32) {
        append(attribute: type, withUnsafeBytes(of: value) { Array($0) })
    }

    /// Network byte order, as everywhere.
    mutating func append(attribute type: UInt16, _ address: IPAddress) {
        switch address {
        case .v4(let a): append(attribute: type, withUnsafeBytes(of: a.value.bigEndian) { Array($0) })
        case .v6(let a):
            append(
                attribute: type,
                withUnsafeBytes(of: a.high.bigEndian) { Array($0) } + withUnsafeBytes(of: a.low.bigEndian) { Array($0) }
            )
        }
    }

    /// Fills in the length and the sequence number.
    mutating func seal(sequence: UInt32) {
        withUnsafeBytes(of: UInt32(bytes.count)) { bytes.replaceSubrange(0..<4, with: $0) }
        withUnsafeBytes(of: sequence) { bytes.replaceSubrange(8..<12, with: $0) }
    }
}

/// One message of an answer.
struct NetlinkMessage {
    let type: UInt16
    let flags: MessageFlags
    let sequence: UInt32
    let payload: [UInt8]

    /// The messages of one datagram, up to the first malformed one.
    static func parse(_ datagram: UnsafeRawBufferPointer) -> [NetlinkMessage] {
        var messages: [NetlinkMessage] = []
        var offset = 0
        while datagram.count - offset >= NetlinkRequest.headerSize {
            let length = Int(datagram.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            guard length >= NetlinkRequest.headerSize, length <= datagram.count - offset else { break }
            messages.append(
                NetlinkMessage(
                    type: datagram.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self),
                    flags: MessageFlags(rawValue: datagram.loadUnaligned(fromByteOffset: offset + 6, as: UInt16.self)),
                    sequence: datagram.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self),
                    payload: Array(datagram[(offset + NetlinkRequest.headerSize)..<(offset + length)])))
            offset += (length + 3) & ~3
        }
        return messages
    }

    /// An integer at a byte offset of the payload, or nil past its end.
    func integer<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T? {
        guard offset >= 0, payload.count - offset >= MemoryLayout<T>.size else { return nil }
        return payload.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }

    /// The value of the first attribute of this type; attributes begin at `start` of the payload.
    func attribute(_ wanted: UInt16, from start: Int) -> ArraySlice<UInt8>? {
        var offset = start
        while let length = integer(at: offset, as: UInt16.self), let type = integer(at: offset + 2, as: UInt16.self) {
            let end = offset + Int(length)
            guard length >= 4, end <= payload.count else { return nil }
            // The two highest bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            if type & 0x3FFF == wanted { return payload[(offset + 4)..<end] }
            offset = (end + 3) & ~3
        }
        return nil
    }

    func attributeInteger(_ type: UInt16, from start: Int) -> UInt32? {
        guard let value = attribute(type, from: start), value.count >= 4 else { return nil }
        return integer(at: value.startIndex, as: UInt32.self)
    }

    func attributeText(_ type: UInt16, from start: Int) -> String? {
        attribute(type, from: start).map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
