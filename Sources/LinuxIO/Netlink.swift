import CLinux
import Glibc
import Primitives

/// Interfaces, addresses, routes and rules of the kernel, over one rtnetlink socket. Each call waits for the kernel's
/// acknowledgement, which comes at once. It belongs to the network namespace of the thread that made it.
public final class Netlink {
    private let socket: Descriptor
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private var sequence: UInt32 = 0

    public init() throws(SystemError) { socket = try Descriptor(clinux_netlink_open(), "open a netlink socket") }

    deinit { buffer.deallocate() }

    // MARK: Requests

    /// Sends a request and waits for its acknowledgement.
    func perform(_ request: NetlinkRequest, _ operation: @autoclosure () -> String) throws(SystemError) {
        _ = try exchange(request, operation())
    }

    /// Sends a request and collects the messages up to its acknowledgement, or to the end of a dump.
    func exchange(
        _ request: NetlinkRequest, _ operation: @autoclosure () -> String
    ) throws(SystemError) -> [NetlinkMessage] {
        sequence &+= 1
        var request = request
        request.seal(sequence: sequence)
        let sent = request.bytes.withUnsafeBytes { clinux_netlink_send(socket.number, $0.baseAddress, $0.count) }
        if sent < 0 { throw SystemError(code: Int32(-sent), operation: operation(), needs: .networkAdministration) }

        var answer: [NetlinkMessage] = []
        while true {
            let count = clinux_netlink_receive(socket.number, buffer.baseAddress, buffer.count)
            if count < 0 {
                let code = count == -Int(EAGAIN) ? ETIMEDOUT : Int32(-count)
                throw SystemError(code: code, operation: operation())
            }
            // Answers to an earlier request that failed half way are left over: their number differs.
            for message in NetlinkMessage.parse(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            where message.sequence == sequence {
                switch message.type {
                case MessageType.error, MessageType.done:
                    let code = -(message.integer(at: 0, as: Int32.self) ?? -EPROTO)
                    guard code != 0 else { return answer }
                    throw SystemError(
                        code: code, operation: operation(), detail: Self.explanation(message),
                        needs: .networkAdministration)
                default: answer.append(message)
                }
            }
        }
    }

    /// The kernel's own words (NLMSGERR_ATTR_MSG), which stand behind the error and the repeated request.
    private static func explanation(_ message: NetlinkMessage) -> String? {
        guard message.flags.contains(.attributesFollow) else { return nil }
        if message.type == MessageType.done { return message.attributeText(1, from: 4) }
        guard let length = message.integer(at: 4, as: UInt32.self) else { return nil }
        let repeated = message.flags.contains(.capped) ? NetlinkRequest.headerSize : (Int(length) + 3) & ~3
        return message.attributeText(1, from: 4 + repeated)
    }

    // MARK: Interfaces and addresses

    /// IFLA_IFNAME.
    private static let interfaceName: UInt16 = 3

    public func interfaceIndex(_ name: String) throws(SystemError) -> UInt32 {
        var request = NetlinkRequest(MessageType.getLink, [.request, .acknowledge])
        request.append(Self.interfaceInfo(index: 0, flags: 0, change: 0))
        request.append(attribute: Self.interfaceName, Array(name.utf8) + [0])
        let answer = try exchange(request, "find the interface \(name)")
        guard let index = answer.first?.integer(at: 4, as: UInt32.self) else {
            throw SystemError(code: ENODEV, operation: "find the interface \(name)")
        }
        return index
    }

    /// Brings an interface up.
    /// - Parameter queueLength: packets that may wait in the interface's queue; nil for the kernel's choice.
    public func setUp(_ index: UInt32, mtu: Int? = nil, queueLength: Int? = nil) throws(SystemError) {
        var request = NetlinkRequest(MessageType.newLink, [.request, .acknowledge])
        request.append(Self.interfaceInfo(index: index, flags: 1, change: 1))
        if let mtu { request.append(attribute: 4, UInt32(clamping: mtu)) }  // IFLA_MTU
        if let queueLength { request.append(attribute: 13, UInt32(clamping: queueLength)) }  // IFLA_TXQLEN
        try perform(request, "bring interface \(index) up" + (mtu.map { " with MTU \($0)" } ?? ""))
    }

    /// `struct ifinfomsg`; flag 1 is IFF_UP.
    private static func interfaceInfo(index: UInt32, flags: UInt32, change: UInt32) -> [UInt8] {
        [0, 0, 0, 0] + [index, flags, change].flatMap { word in withUnsafeBytes(of: word) { Array($0) } }
    }

    /// Adds an address, which can be bound at once: IPv6 skips duplicate address detection. Packets to an IPv6 address
    /// arrive only a moment later, when the kernel's worker has added the local route (addrconf_dad_work).
    public func addAddress(_ address: IPAddress, prefixLength: Int, index: UInt32) throws(SystemError) {
        precondition((0...address.bitWidth).contains(prefixLength), "a prefix length of the address's family")
        var request = NetlinkRequest(MessageType.newAddress, [.request, .acknowledge, .create, .replace])
        // struct ifaddrmsg
        let noDuplicateDetection: UInt8 = address.isIPv4 ? 0 : 0x02
        request.append([AddressFamily(address).rawValue, UInt8(prefixLength), noDuplicateDetection, 0])
        request.append(index)
        request.append(attribute: 2, address)  // IFA_LOCAL
        request.append(attribute: 1, address)  // IFA_ADDRESS
        try perform(request, "add the address \(address)/\(prefixLength) to interface \(index)")
    }
}
