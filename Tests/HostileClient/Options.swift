import Primitives
import Sealing

/// What hostile-client was asked for.
enum Options {
    static let usage = """
        usage: hostile-client OPTION... ATTACK
               hostile-client serve OPTION...
               hostile-client relay OPTION...
               hostile-client --list | --list-tricks

        Attacks a server of Penstock, and prints one line. Exit codes: 0 refused as it should be, 1 not refused, 2 anything
        else that went wrong. --list prints each attack with the number of the server's statistics that it makes grow by one.

          --server ADDRESS:PORT       of the server
          --server-name NAME          in its certificate
          --ca FILE                   the authority of the certificate
          --server-key KEY            the server's public key
          --key-file FILE             a private key that the server lets in
          --destination ADDRESS:PORT  which sends back what it gets, by TCP and by UDP
          --cipher NAME               aes-256-gcm or chacha20-poly1305; the faster one without

        serve is a server that plays tricks on a client of Penstock, until it is ended. It prints 'ready' when it listens.
        --list-tricks prints each trick with its place, the port of a destination that stands for it, and the number of the
        client's statistics that it makes grow by one. The first two connections get bad answers to their key exchange.

          --listen ADDRESS:PORT
          --certificate FILE          of the server, and
          --private-key FILE          its key
          --key-file FILE             the private key of the tunnel

        relay stands between a client and its server, and passes on all streams: --listen, --certificate and --private-key as
        above, and --server, --server-name and --ca.
        """
}

/// What an attack on a server needs to know.
struct AttackOptions {
    let server: ServerOptions
    let serverKey: PublicKey
    let keyPair: KeyPair
    let destination: Endpoint
    let cipher: Cipher
    let attack: Attack

    init(_ given: [String]) throws(Arguments.Problem) {
        var arguments = try Arguments(given)
        guard let name = arguments.takeLast() else { throw Arguments.Problem(text: "an attack is wanted") }
        guard let attack = Attack.all.first(where: { $0.name == name }) else {
            throw Arguments.Problem(text: "unknown attack \(name); --list names them")
        }
        self.attack = attack
        server = try ServerOptions(&arguments)
        destination = try arguments.endpoint("destination")
        keyPair = try arguments.keyPair("key-file")
        let keyText = try arguments.take("server-key")
        do throws(KeyTextError) {
            serverKey = try PublicKey(base64: keyText)
        } catch {
            throw Arguments.Problem(text: "--server-key: \(error)")
        }
        let cipherText = arguments.takeIfThere("cipher") ?? Cipher.fastest.rawValue
        guard let cipher = Cipher(rawValue: cipherText) else {
            throw Arguments.Problem(text: "unknown cipher \(cipherText)")
        }
        self.cipher = cipher
        try arguments.expectNoMore()
    }
}

/// Where a connection goes, and how the server there is known.
struct ServerOptions {
    let address: Endpoint
    let name: String
    let authority: [UInt8]

    init(_ arguments: inout Arguments) throws(Arguments.Problem) {
        address = try arguments.endpoint("server")
        name = try arguments.take("server-name")
        authority = try arguments.file("ca")
    }
}

/// Where clients are waited for, and with whose certificate.
struct ListenOptions {
    let listen: Endpoint
    let certificate: [UInt8]
    let privateKey: [UInt8]

    init(_ arguments: inout Arguments) throws(Arguments.Problem) {
        listen = try arguments.endpoint("listen")
        certificate = try arguments.file("certificate")
        privateKey = try arguments.file("private-key")
    }
}

/// What a server that plays tricks needs to know.
struct ServeOptions {
    let listener: ListenOptions
    let keyPair: KeyPair

    init(_ given: some Collection<String>) throws(Arguments.Problem) {
        var arguments = try Arguments(given)
        listener = try ListenOptions(&arguments)
        keyPair = try arguments.keyPair("key-file")
        try arguments.expectNoMore()
    }
}

/// What who stands between a client and its server needs to know.
struct MiddleOptions {
    let listener: ListenOptions
    let server: ServerOptions

    init(_ given: some Collection<String>) throws(Arguments.Problem) {
        var arguments = try Arguments(given)
        listener = try ListenOptions(&arguments)
        server = try ServerOptions(&arguments)
        try arguments.expectNoMore()
    }
}
