import LinuxIO
import Primitives
import QuicTransport
import Sealing
import Server

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

extension ServerConfiguration.Names {
    func apply(to settings: inout NameSettings) {
        settings.minimumLifetime = minimumLifetime
        settings.maximumLifetime = maximumLifetime
        settings.negativeLifetime = negativeLifetime
        settings.maximumEntries = entries
        settings.maximumQueries = queries
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

extension ServerConfiguration {
    /// The certificate and key, and how clients' certificates are judged.
    func identity() throws(RunError) -> ServerIdentity {
        let clients: ClientAuthorities?
        do {
            clients = try clientCertificates.rule()
        } catch {
            let files = [clientCertificates.authorities, clientCertificates.revocations].compactMap(\.?.path)
            throw RunError("\(files.joined(separator: ", ")): \(error)")
        }
        do {
            return try ServerIdentity(
                certificateChainPEM: certificate.contents, privateKeyPEM: privateKey.contents, clients: clients)
        } catch {
            throw RunError("\(certificate.path), \(privateKey.path): \(error)")
        }
    }
}

extension ServerConfiguration.ClientCertificates {
    fileprivate func rule() throws(ClientAuthoritiesError) -> ClientAuthorities? {
        let demand: ClientAuthorities.Demand
        switch self.demand {
        case .none: return nil
        case .optional: demand = .optional
        case .required: demand = .required
        }
        return try ClientAuthorities(
            demand: demand, authoritiesPEM: authorities?.contents ?? [], revocationListPEM: revocations?.contents)
    }
}

extension ClientConfiguration {
    func identity() throws(RunError) -> ClientIdentity? {
        guard let certificate else { return nil }
        do {
            return try ClientIdentity(
                certificateChainPEM: certificate.chain.contents, privateKeyPEM: certificate.privateKey.contents)
        } catch {
            throw RunError("\(certificate.chain.path), \(certificate.privateKey.path): \(error)")
        }
    }
}
