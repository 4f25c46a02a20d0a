extension ConfigurationSection {
    /// The key that both sides share: one line of base64 for 32 bytes, as `penstock genkey` writes it.
    func sharedKey() -> SharedKey? {
        guard let file = file("key-file", sample: "tunnel.key", limit: 4_096, for: .ownerOnly) else { return nil }
        let text = String(decoding: file.contents, as: UTF8.self)
        let line = text.hasSuffix("\n") ? String(text.dropLast()) : text
        guard let key = decodeBase64(line).flatMap(SharedKey.init) else {
            refuse(
                "key-file",
                "'\(name("key-file"))' names \(file.path), which does not hold 32 bytes in one line of base64",
                remedy: "make one with 'penstock genkey' and copy it to both sides")
            return nil
        }
        return key
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
        let text = String(decoding: file.contents, as: UTF8.self)
        let found = text.split(whereSeparator: \.isNewline).contains { line in
            line.hasPrefix("-----BEGIN ") && line.contains("\(label)-----")
        }
        guard found else {
            refuse(
                key, "'\(name(key))' names \(file.path), which is not a PEM file with a \(label.lowercased())",
                remedy: "make one with 'penstock pki', or convert it with openssl")
            return nil
        }
        return file
    }
}
