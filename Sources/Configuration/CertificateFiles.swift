import QuicTransport
import Sealing

// Certificates, keys and revocation lists, judged as TLS will judge them: what does not fit together is found here, with the
// key that names the file, and not at the first handshake.

extension ConfigurationSection {
    /// The files of a server's certificate and of its key. What is wrong is noted.
    func serverFiles() -> (chain: LoadedFile?, key: LoadedFile?) {
        (
            chain: pemFile("certificate-file", label: "CERTIFICATE", sample: "server.crt"),
            key: pemFile("private-key-file", label: "PRIVATE KEY", sample: "server.key", for: .ownerOnly)
        )
    }

    /// The certificate and the key of a server, and how it judges its clients. What is wrong is noted.
    /// - Parameter files: the key is taken out and wiped.
    /// - Returns: with a secret that hangs on the key alone.
    func serverIdentity(
        _ files: inout (chain: LoadedFile?, key: LoadedFile?), _ clients: ServerConfiguration.ClientCertificates
    ) -> (identity: ServerIdentity, secret: [UInt8])? {
        guard var key = files.key.take() else { return nil }
        defer { key.wipe() }
        guard let chain = files.chain else { return nil }
        do {
            let identity = try ServerIdentity(
                certificateChainPEM: chain.contents, privateKeyPEM: key.contents, clients: clients.authorities)
            return (identity, DerivedSecret.machineSecret(from: key.contents))
        } catch {
            refuse(error, chain: chain.path, key: key.path, maker: "penstock pki server NAME --output FILE")
            return nil
        }
    }

    /// The certificate and the key that a client shows; nil where it has none. What is wrong is noted.
    func clientIdentity() -> ClientIdentity? {
        let chain = optionalPEMFile("certificate-file", label: "CERTIFICATE")
        var read = optionalPEMFile("private-key-file", label: "PRIVATE KEY", for: .ownerOnly)
        let (one, other) = ("certificate-file", "private-key-file")
        for (there, missing) in [(one, other), (other, one)] where has(there) && !has(missing) {
            refuse(
                there, "'\(there)' is there, and '\(missing)' is missing",
                remedy: "add the file of the same 'penstock pki client'")
        }
        guard var key = read.take() else { return nil }
        defer { key.wipe() }
        guard let chain else { return nil }
        do {
            return try ClientIdentity(certificateChainPEM: chain.contents, privateKeyPEM: key.contents)
        } catch {
            refuse(error, chain: chain.path, key: key.path, maker: "penstock pki client NAME")
            return nil
        }
    }

    private func refuse(_ error: IdentityError, chain: String, key: String, maker: String) {
        switch error {
        case .unreadableCertificate:
            refuse(
                "certificate-file", "'\(name("certificate-file"))' names \(chain): \(error)",
                remedy: "make one with '\(maker)', or copy it again")
        case .unreadableKey:
            refuse(
                "private-key-file", "'\(name("private-key-file"))' names \(key): \(error)",
                remedy: "make one with '\(maker)'; one with a password is opened by: openssl pkey -in \(key)")
        case .keyDoesNotMatchCertificate:
            refuse(
                "private-key-file",
                "'\(name("private-key-file"))' names \(key), which does not belong to the first certificate of \(chain)",
                remedy: "name the two files that one '\(maker)' has made")
        case .library:
            refuse(
                "certificate-file", "'\(name("certificate-file"))' names \(chain): \(error)",
                remedy: "make another with '\(maker)'")
        }
    }

    /// The authorities of a file that a setting names, readable for TLS; nil where it was left out. What is wrong is noted.
    func authorities(_ key: String) -> LoadedFile? {
        guard let file = optionalPEMFile(key, label: "CERTIFICATE") else { return nil }
        return judged(key, file, authorities: file) == nil ? nil : file
    }

    /// Who may issue clients' certificates, and what was revoked; nil where either is not good, which is noted.
    func clientAuthorities(_ demand: ClientAuthorities.Demand, revocations: LoadedFile?) -> ClientAuthorities? {
        guard let file = authorities("ca-file") else { return nil }
        guard let revocations else { return judged("ca-file", file, demand, authorities: file) }
        return judged("crl-file", revocations, demand, authorities: file, revocations: revocations)
    }

    private func judged(
        _ key: String, _ file: LoadedFile, _ demand: ClientAuthorities.Demand = .optional, authorities: LoadedFile,
        revocations: LoadedFile? = nil
    ) -> ClientAuthorities? {
        do {
            return try ClientAuthorities(
                demand: demand, authoritiesPEM: authorities.contents, revocationListPEM: revocations?.contents)
        } catch {
            let remedy =
                switch error {
                case .unreadableAuthorities, .noAuthorities, .library:
                    "copy ca.crt of 'penstock pki init' again, or name another"
                case .unreadableRevocationList, .noRevocationList:
                    "name ca.crl of 'penstock pki', or leave '\(key)' out"
                case .foreignRevocationList: "name ca.crl beside \(authorities.path), of the same authority"
                }
            refuse(key, "'\(name(key))' names \(file.path): \(error)", remedy: remedy)
            return nil
        }
    }

    /// A PEM file that holds at least one block of the given label.
    func pemFile(_ key: String, label: String, sample: String, for audience: FileAudience = .anyone) -> LoadedFile? {
        file(key, sample: sample, for: audience).flatMap { checkedPEM($0, key, label) }
    }

    /// The same for a setting that may be left out.
    func optionalPEMFile(_ key: String, label: String, for audience: FileAudience = .anyone) -> LoadedFile? {
        optionalFile(key, for: audience).flatMap { checkedPEM($0, key, label) }
    }

    private func checkedPEM(_ file: LoadedFile, _ key: String, _ label: String) -> LoadedFile? {
        if hasBlock(file.contents, label) { return file }
        refuse(
            key, "'\(name(key))' names \(file.path), which is not a PEM file with a \(label.lowercased())",
            remedy: "make one with 'penstock pki', or convert it with openssl")
        return nil
    }

    /// Whether a line begins a block of the label, whatever stands before it, as in `EC PRIVATE KEY`. The bytes stay where they are:
    /// they may be a secret.
    private func hasBlock(_ contents: [UInt8], _ label: String) -> Bool {
        let (begin, end) = (Array("-----BEGIN ".utf8), Array("\(label)-----".utf8))
        return contents.split { $0 == 10 || $0 == 13 }.contains { line in
            line.starts(with: begin)
                && line.dropFirst(begin.count).trimmingSuffix { $0 == 32 || $0 == 9 }.hasSuffix(end)
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func trimmingSuffix(while isPadding: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var rest = self
        while let last = rest.last, isPadding(last) { rest.removeLast() }
        return rest
    }

    fileprivate func hasSuffix(_ end: [UInt8]) -> Bool { suffix(end.count).elementsEqual(end) }
}
