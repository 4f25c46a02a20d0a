import Primitives
import Sealing

/// A host name or address with a port, as in `vpn.example.org:4433` or `[2001:db8::1]:4433`.
package struct HostAndPort: Hashable, Sendable {
    package enum Host: Hashable, Sendable {
        case name(String)
        case address(IPAddress)
    }

    package var host: Host
    package var port: UInt16

    package init(host: Host, port: UInt16) {
        self.host = host
        self.port = port
    }
}

extension HostAndPort.Host: CustomStringConvertible {
    /// The name or the address, an IPv6 address without brackets.
    package var description: String {
        switch self {
        case .name(let name): name
        case .address(let address): address.description
        }
    }
}

extension HostAndPort: CustomStringConvertible {
    package var description: String {
        switch host {
        case .name(let name): "\(name):\(port)"
        case .address(let address): Endpoint(address, port).description
        }
    }
}

/// The address of an interface with the length of its network, as in `198.18.0.1/30`. Host bits may be set.
package struct InterfaceAddress: Hashable, Sendable {
    package var address: IPAddress
    /// 0…32 or 0…128.
    package var prefixLength: Int
}

extension InterfaceAddress: CustomStringConvertible, LosslessStringConvertible {
    package var description: String { "\(address)/\(prefixLength)" }

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let length = Int(decimal: parts[1]),
            length <= address.bitWidth
        else { return nil }
        self.init(address: address, prefixLength: length)
    }
}

/// A file that the configuration names, read once when the configuration was loaded.
package struct LoadedFile: Hashable, Sendable {
    /// Absolute path, or as the user gave it when the configuration file itself was given by a relative path.
    package var path: String
    package var contents: [UInt8]

    package init(path: String, contents: [UInt8]) {
        self.path = path
        self.contents = contents
    }

    /// Overwrites the contents, which were a secret.
    mutating func wipe() { SecretBytes.wipe(&contents) }

    /// All that is kept of a secret to tell whether it has changed: no more than that can be told by it.
    package var fingerprint: LoadedFile { LoadedFile(path: path, contents: DerivedSecret.fingerprint(of: contents)) }
}

extension LoadedFile: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { path }
    package var debugDescription: String { path }
    /// Without the contents: they may be a private key.
    package var customMirror: Mirror { Mirror(self, children: ["path": path]) }
}

/// Cipher of the sealed layer inside the streams.
package enum CipherSetting: String, CaseIterable, Sendable {
    case aes256Gcm = "aes-256-gcm"
    case chacha20Poly1305 = "chacha20-poly1305"
}

/// The client's choice among them.
package enum CipherChoice: String, CaseIterable, Sendable {
    /// The one that is faster on this processor.
    case auto
    case aes256Gcm = "aes-256-gcm"
    case chacha20Poly1305 = "chacha20-poly1305"
}

package enum CongestionControlSetting: String, CaseIterable, Sendable {
    case bbr2, bbr, cubic, reno
}

/// Whether the kernel's segmentation and coalescing are used.
package enum OffloadSetting: String, CaseIterable, Sendable {
    /// Used where a probe at start finds that they work.
    case auto
    case off
}

extension Int {
    /// Decimal digits alone: no sign, no space, no leading zero.
    package init?(decimal text: some StringProtocol) {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }),
            text.utf8.count == 1 || text.utf8.first != 48
        else { return nil }
        self.init(text)
    }
}
