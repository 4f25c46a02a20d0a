import LinuxIO
import Primitives
import QuicTransport
import Sealing

/// How long a program that stops waits for a full socket, to tell the other end.
let stopGrace = Interval.seconds(1)

// From what the configuration says to what the engines take.

extension CipherSetting {
    var cipher: Cipher {
        switch self {
        case .aes256Gcm: .aes256gcm
        case .chacha20Poly1305: .chacha20poly1305
        }
    }
}

extension CipherChoice {
    var cipher: Cipher {
        switch self {
        case .auto: .fastest
        case .aes256Gcm: .aes256gcm
        case .chacha20Poly1305: .chacha20poly1305
        }
    }
}

extension ClientConfiguration {
    /// The key by which the server may know this client: the configured one, or another with each call.
    var keyPair: KeyPair {
        if let key { return key }
        var random = SystemRandom()
        return KeyPair.generate(using: &random)
    }
}

extension OffloadSetting {
    var offload: Offload {
        switch self {
        case .auto: .auto
        case .off: .off
        }
    }
}

extension QuicSettings {
    func apply(to settings: inout TransportSettings) {
        settings.congestionControl =
            switch congestionControl {
            case .reno: .reno
            case .cubic: .cubic
            case .bbr: .bbr
            case .bbr2: .bbr2
            }
        settings.idleTimeout = idleTimeout
        settings.streamWindow = streamWindow
        settings.connectionWindow = connectionWindow
    }
}
