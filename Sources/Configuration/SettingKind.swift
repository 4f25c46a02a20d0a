import Logging
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// How the text of a setting becomes its value, and how to say what was expected.
package struct SettingKind<Value> {
    package enum Outcome {
        case value(Value)
        /// Not of this kind. `because` says more than `expected` does, where there is more to say.
        case refused(because: String?)
    }

    /// Completes "write …": it says what to write.
    package let expected: String
    /// The text that `parse` reads back as the value.
    package let text: (Value) -> String
    package let parse: (String) -> Outcome
    /// The value must not be shown: not in messages either.
    package var isSecret = false

    package init(
        expected: String, text: @escaping (Value) -> String = { "\($0)" }, parse: @escaping (String) -> Outcome
    ) {
        self.expected = expected
        self.text = text
        self.parse = parse
    }

    package init(
        expected: String, text: @escaping (Value) -> String = { "\($0)" }, convert: @escaping (String) -> Value?
    ) {
        self.init(expected: expected, text: text) { text in
            convert(text).map(Outcome.value) ?? .refused(because: nil)
        }
    }

    /// The same, never to be shown.
    package var secret: SettingKind {
        var kind = self
        kind.isSecret = true
        return kind
    }
}

extension SettingKind where Value == Int {
    package static func integer(_ range: ClosedRange<Int>) -> SettingKind {
        SettingKind(expected: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            Int(decimal: text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Bytes, such as `512MiB`. Units are B, KiB, MiB, GiB.
    package static func size(_ range: ClosedRange<Int>) -> SettingKind {
        let expected = "a size from \(sizeText(range.lowerBound)) to \(sizeText(range.upperBound))"
        return SettingKind(expected: expected, text: sizeText) { text in
            parseSize(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension SettingKind where Value == Double {
    /// A number with or without a decimal point, such as `0.5` or `2000`.
    package static func number(_ range: ClosedRange<Double>) -> SettingKind {
        func text(_ bound: Double) -> String { Int(exactly: bound).map(String.init) ?? "\(bound)" }
        return SettingKind(expected: "a number from \(text(range.lowerBound)) to \(text(range.upperBound))") { text in
            guard text.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 }), let value = Double(text) else {
                return nil
            }
            return range.contains(value) ? value : nil
        }
    }
}

extension SettingKind where Value == Interval {
    /// A length of time, such as `30s`. Units are ms, s, m, h.
    package static func duration(_ range: ClosedRange<Interval>) -> SettingKind {
        let expected = "a time from \(durationText(range.lowerBound)) to \(durationText(range.upperBound)), such as 30s"
        return SettingKind(expected: expected, text: durationText) { text in
            parseDuration(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension SettingKind where Value == Bool {
    package static var boolean: SettingKind {
        SettingKind(expected: "true or false") { text in text == "true" ? true : text == "false" ? false : nil }
    }
}

extension SettingKind where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One word of a fixed list.
    package static var choice: SettingKind {
        let names = Value.allCases.map(\.rawValue)
        return SettingKind(expected: "one of " + names.joined(separator: ", "), text: \.rawValue) { text in
            Value(rawValue: text)
        }
    }
}

extension SettingKind where Value == HostAndPort {
    package static var hostAndPort: SettingKind {
        SettingKind(expected: "HOST:PORT, such as vpn.example.org:4433 or [2001:db8::1]:4433") { text in
            if let endpoint = Endpoint(text) {
                guard endpoint.port > 0 else { return .refused(because: "port 0 cannot be reached") }
                return .value(HostAndPort(host: .address(endpoint.address), port: endpoint.port))
            }
            if IPv6Address(text) != nil { return .refused(because: "an IPv6 address needs brackets and a port") }
            guard let colon = text.lastIndex(of: ":") else { return .refused(because: "the port is missing") }
            guard let port = Int(decimal: text[text.index(after: colon)...]), (1...65_535).contains(port) else {
                return .refused(because: "the port is not a number from 1 to 65535")
            }
            guard let name = parseHostName(String(text[..<colon])) else { return .refused(because: nil) }
            return .value(HostAndPort(host: .name(name), port: UInt16(port)))
        }
    }
}

extension SettingKind where Value == Endpoint {
    package static var endpoint: SettingKind {
        SettingKind(expected: "ADDRESS:PORT, such as 0.0.0.0:4433 or [::]:4433") { text in
            if let endpoint = Endpoint(text) {
                return endpoint.port > 0 ? .value(endpoint) : .refused(because: "port 0 cannot be reached")
            }
            return .refused(because: IPv6Address(text) == nil ? nil : "an IPv6 address needs brackets and a port")
        }
    }
}

extension SettingKind where Value == IPPrefix {
    package static var prefix: SettingKind {
        SettingKind(expected: "ADDRESS/LENGTH, such as 10.0.0.0/8 or 2001:db8::/32") { text in
            if let prefix = IPPrefix(text) { return .value(prefix) }
            return .refused(because: InterfaceAddress(text) == nil ? nil : "bits beyond the length are set")
        }
    }
}

extension SettingKind where Value == InterfaceAddress {
    package static var interfaceAddress: SettingKind {
        SettingKind(expected: "ADDRESS/LENGTH, such as 198.18.0.1/30 or fd00:5053::1/126") { text in
            guard let address = InterfaceAddress(text) else { return .refused(because: nil) }
            if address.address.isUnspecified || address.address.isMulticast || address.address.isLoopback {
                return .refused(because: "an interface cannot have this address")
            }
            return .value(address)
        }
    }
}

extension SettingKind where Value == IPv4Address {
    package static var ipv4Address: SettingKind {
        SettingKind(expected: "an IPv4 address, such as 203.0.113.7") { IPv4Address($0) }
    }
}

extension SettingKind where Value == IPv6Address {
    package static var ipv6Address: SettingKind {
        SettingKind(expected: "an IPv6 address, such as 2001:db8::7") { IPv6Address($0) }
    }
}

extension SettingKind where Value == [UInt8] {
    /// `sha256/` and the base64 of a SHA-256 hash.
    package static var pin: SettingKind {
        SettingKind(expected: "sha256/ and 44 characters of base64, as 'penstock pki server' prints it", text: pinText)
        { text in
            guard text.hasPrefix("sha256/") else { return nil }
            return decodeBase64(String(text.dropFirst(7))).flatMap { $0.count == 32 ? $0 : nil }
        }
    }
}

extension SettingKind where Value == PublicKey {
    /// A public key of the tunnel, in base64.
    package static var publicKey: SettingKind {
        SettingKind(expected: "a public key: 44 characters of base64, as 'penstock keygen' prints it") { text in
            do throws(KeyTextError) {
                return .value(try PublicKey(base64: text))
            } catch {
                if case .wrongLength(let count) = error {
                    return .refused(because: "it has \(count) bytes instead of 32")
                }
                return .refused(because: nil)
            }
        }
    }
}

extension SettingKind where Value == String {
    /// Who logs in, as client and server call it.
    package static var userName: SettingKind {
        SettingKind(expected: "a name of 1 to 255 bytes without control characters") { text in
            UserLogin(name: text, password: SecretBytes(copying: [])) == nil ? nil : text
        }
    }

    package static var hostName: SettingKind {
        SettingKind(expected: "a host name or an address without a port") { text in
            IPAddress(text) != nil ? text : parseHostName(text)
        }
    }

    package static var path: SettingKind {
        // PATH_MAX of Linux, with the NUL.
        SettingKind(expected: "the path of a file") { !$0.utf8.contains(0) && $0.utf8.count < 4_096 ? $0 : nil }
    }

    /// Linux: 1 to 15 bytes, no slash, no colon, no space, not `.` nor `..` (`dev_valid_name` in net/core/dev.c).
    package static var interfaceName: SettingKind {
        SettingKind(expected: "1 to 15 letters, digits, '-', '_' or '.'") { text in
            let allowed = text.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                    || byte == 45 || byte == 46 || byte == 95
            }
            return allowed && (1...15).contains(text.utf8.count) && text != "." && text != ".." ? text : nil
        }
    }
}
