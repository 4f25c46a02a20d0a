/// The shortest client and server configurations.
public let minimalClient = "server: h:1\ntrust: { ca-file: ca.crt }\nserver-key: \(publicKeyText)\n"
public let publicKeyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
public let minimalServer =
    "listen: \"[::]:1\"\ncertificate-file: server.crt\nprivate-key-file: server.key\nkey-file: tunnel.key\n"
