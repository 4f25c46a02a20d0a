import Primitives

/// Where a flow wants to go: an address, or a name that the server resolves. Either with a port.
public enum DestinationAddress: Hashable, Sendable {
    case endpoint(Endpoint)
    case name(DomainName, port: UInt16)

    /// From what a person or an application gave: an address in text form becomes an address.
    public init(host: String, port: UInt16) throws(DomainNameError) {
        if let address = IPAddress(host) {
            self = .endpoint(Endpoint(address, port))
        } else {
            self = .name(try DomainName(host), port: port)
        }
    }

    public var port: UInt16 {
        switch self {
        case .endpoint(let endpoint): endpoint.port
        case .name(_, let port): port
        }
    }
}

extension DestinationAddress: CustomStringConvertible {
    public var description: String {
        switch self {
        case .endpoint(let endpoint): endpoint.description
        case .name(let name, let port): "\(name):\(port)"
        }
    }
}

// MARK: - The form of RFC 1928, section 5: type, address, port

private enum AddressType {
    static let v4: UInt8 = 1
    static let name: UInt8 = 3
    static let v6: UInt8 = 4
}

extension DestinationAddress {
    /// Appends type, address and port.
    public func append(to bytes: inout [UInt8]) {
        switch self {
        case .endpoint(let endpoint):
            endpoint.append(to: &bytes)
        case .name(let name, let port):
            bytes.append(AddressType.name)
            bytes.append(text: name.text)
            bytes.append(bigEndian: port)
        }
    }

    init(from reader: inout ByteReader) throws(MessageError) {
        let type = try reader.byte()
        if type == AddressType.name {
            let bytes = try reader.bytes(Int(reader.byte()))
            let port = try reader.integer(UInt16.self)
            do {
                self = .name(try DomainName(bytes: bytes), port: port)
            } catch {
                throw .badName(error)
            }
        } else {
            self = .endpoint(try Endpoint(type: type, from: &reader))
        }
    }
}

extension Endpoint {
    func append(to bytes: inout [UInt8]) {
        switch address {
        case .v4(let address):
            bytes.append(AddressType.v4)
            bytes.append(bigEndian: address.value)
        case .v6(let address):
            bytes.append(AddressType.v6)
            bytes.append(bigEndian: address.high)
            bytes.append(bigEndian: address.low)
        }
        bytes.append(bigEndian: port)
    }

    init(from reader: inout ByteReader) throws(MessageError) { try self.init(type: reader.byte(), from: &reader) }

    fileprivate init(type: UInt8, from reader: inout ByteReader) throws(MessageError) {
        let address: IPAddress
        switch type {
        case AddressType.v4:
            address = .v4(IPv4Address(try reader.integer(UInt32.self)))
        case AddressType.v6:
            let high = try reader.integer(UInt64.self)
            address = .v6(IPv6Address(high: high, low: try reader.integer(UInt64.self)))
        default:
            throw .badAddressType(type)
        }
        self.init(address, try reader.integer(UInt16.self))
    }
}
