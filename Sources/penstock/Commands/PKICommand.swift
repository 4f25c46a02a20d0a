import ArgumentParser
import Configuration
import Foundation
import LinuxIO
import PKI
import Primitives
import QuicTransport
import Users

struct PKICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pki", abstract: "Certificates: an authority of your own, its servers and clients.",
        discussion: """
            'init' makes the authority, 'server' and 'client' issue certificates with their keys, 'revoke' writes the \
            revocation list ca.crl, which a running server reads within a second.
            """,
        subcommands: [Init.self, Server.self, Client.self, List.self, Revoke.self])

    struct Options: ParsableArguments {
        @Option(help: ArgumentHelp("The authority's folder.", valueName: "folder"))
        var folder = "/etc/penstock/pki"

        var authority: AuthorityFolder { AuthorityFolder(path: folder) }
    }

    struct Output: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "Write PATH.crt and PATH.key instead of files of the certificate's name in the authority's folder.",
                valueName: "path"))
        var output: String?

        @Option(help: ArgumentHelp("Days that the certificate is valid.", valueName: "days"))
        var days = 825
    }

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make an authority: its key, certificate and index.")

        @OptionGroup var options: Options
        @Option(help: ArgumentHelp("Its name, as certificates show it.", valueName: "name"))
        var name = "Penstock authority"
        @Option(help: ArgumentHelp("Days that it is valid.", valueName: "days")) var days = 3_650

        func run() throws {
            let folder = options.authority
            try folder.create(name: name, days: days)
            print("wrote \(folder.certificatePath), \(folder.listPath) and, to be kept secret, \(folder.keyPath)")
        }
    }

    struct Server: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Issue a certificate for a server, and print the pin of its key.")

        @Argument(help: "DNS names and addresses that clients will call the server by.") var names: [String]
        @OptionGroup var options: Options
        @OptionGroup var output: Output

        func validate() throws {
            guard !names.isEmpty else { throw ValidationError("a server needs a name or an address") }
            _ = try parsed()
        }

        func run() throws {
            let names = try parsed()
            let issued = try issue(.server, names.map(\.description), output, options.authority) {
                (authority, random) throws(AuthorityError) in
                try authority.issueServer(names: names, days: output.days, now: Date(), using: &random)
            }
            print("pin: \(pinText(issued.pin))")
        }

        private func parsed() throws -> [ServerName] {
            try names.map { text in
                let name = IPAddress(text).map { ServerName.address($0.bytes, text: "\($0)") } ?? .dns(checking: text)
                guard let name else { throw ValidationError("'\(text)' is neither a DNS name nor an address") }
                return name
            }
        }
    }

    struct Client: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Issue a certificate for a client.")

        @Argument(
            help: "The client's name, as a user's: lower-case letters, digits, '.', '_', '-' and '@', 64 at most.")
        var name: UserName
        @OptionGroup var options: Options
        @OptionGroup var output: Output

        func run() throws {
            try issue(.client, [name.text], output, options.authority) { (authority, random) throws(AuthorityError) in
                try authority.issueClient(name: name.text, days: output.days, now: Date(), using: &random)
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List what was issued.")

        @OptionGroup var options: Options
        @Flag(help: "As JSON, one array.") var json = false

        func run() throws {
            let entries = try options.authority.index().entries
            print(json ? certificateListJSON(entries, now: Date()) : certificateList(entries, now: Date()))
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a certificate, or all of a name, and write the revocation list anew.")

        @Argument(help: "A serial number, or a name.") var what: String
        @OptionGroup var options: Options

        func run() throws {
            let folder = options.authority
            try folder.change { (index, authority) throws(RunError) in
                let revoked = index.revoke(what, now: Date())
                if revoked.isEmpty {
                    throw RunError("nothing that is not revoked has the name or serial number '\(what)'")
                }
                try folder.writeList(&index, authority)
                for entry in revoked { print("revoked \(entry.kind.rawValue) \(entry.name), serial \(entry.serial)") }
            }
        }
    }
}

/// Issues a certificate, keeps it in the index and writes its files, in this order: what has left the authority can be
/// revoked, whenever the program was killed.
@discardableResult
private func issue(
    _ kind: CertificateIndex.Kind, _ names: [String], _ output: PKICommand.Output, _ folder: AuthorityFolder,
    _ make: (CertificateAuthority, inout SystemRandom) throws(AuthorityError) -> IssuedCertificate
) throws(RunError) -> IssuedCertificate {
    let path = output.output ?? folder.path + "/" + (names.first ?? "").replacing("*", with: "_")
    return try folder.change { (index, authority) throws(RunError) in
        for file in [path + ".crt", path + ".key"] where access(file, F_OK) == 0 {
            throw RunError("\(file) exists already and was not touched; name others with --output")
        }
        var random = SystemRandom()
        let issued: IssuedCertificate
        do { issued = try make(authority, &random) } catch { throw RunError("\(error)") }
        let notAfter = Date(timeIntervalSinceNow: Double(output.days) * 86_400)
        index.add(CertificateIndex.Entry(issued, kind: kind, names: names, notAfter: notAfter))
        try folder.save(index)
        do {
            try writeNewSecretFile(path + ".key", Array(issued.privateKeyPEM.utf8))
            try replaceFile(path + ".crt", Array(issued.certificatePEM.utf8), mode: 0o644)
        } catch {
            throw RunError("\(path).crt and \(path).key cannot be written: \(error)")
        }
        print("wrote \(path).crt and, to be kept secret, \(path).key")
        return issued
    }
}

/// One line for each certificate, with a heading.
func certificateList(_ entries: [CertificateIndex.Entry], now: Date) -> String {
    let rows =
        [["KIND", "NAME", "STATE", "EXPIRES", "SERIAL"]]
        + entries.map { entry in
            [
                entry.kind.rawValue, entry.names.joined(separator: ","), entry.state(now: now).rawValue,
                entry.notAfter.formatted(.iso8601.year().month().day()), entry.serial,
            ]
        }
    let widths = (0..<5).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
            .replacing(/\s+$/, with: "")
    }.joined(separator: "\n")
}

/// The same for programs: an array of objects.
func certificateListJSON(_ entries: [CertificateIndex.Entry], now: Date) -> String {
    struct Row: Encodable {
        let kind, name: String
        let names: [String]
        let state, serial, fingerprint: String
        let expires: Date
        let revoked: Date?
    }
    let rows = entries.map {
        Row(
            kind: $0.kind.rawValue, name: $0.name, names: $0.names, state: $0.state(now: now).rawValue,
            serial: $0.serial, fingerprint: $0.fingerprint, expires: $0.notAfter, revoked: $0.revoked)
    }
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(rows)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
}

extension IPAddress {
    /// In network byte order.
    fileprivate var bytes: [UInt8] {
        switch self {
        case .v4(let address): (0..<4).map { UInt8(truncatingIfNeeded: address.value >> (24 - 8 * $0)) }
        case .v6(let address):
            [address.high, address.low].flatMap { word in
                (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) }
            }
        }
    }
}
