import Configuration
import Foundation
import LinuxIO
import PKI

/// The files of an authority: `ca.crt`, `ca.key`, `ca.crl` and the index of what it has issued.
///
/// Whoever changes them holds a lock, and every file is replaced as a whole, so that a server that reads the revocation
/// list, or a program that is killed, never sees half of one.
struct AuthorityFolder {
    /// Bytes of the index at most.
    private static let indexLimit = 64 << 20

    let path: String

    var certificatePath: String { path + "/ca.crt" }
    var keyPath: String { path + "/ca.key" }
    var listPath: String { path + "/ca.crl" }
    private var indexPath: String { path + "/index.json" }

    /// Makes the folder and a new authority in it.
    func create(name: String, days: Int) throws(RunError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw RunError("the folder \(path) cannot be made: \(String(cString: strerror(errno)))")
        }
        try locked { () throws(RunError) in
            for file in [keyPath, certificatePath, indexPath] where access(file, F_OK) == 0 {
                throw RunError("\(file) exists: there is an authority in \(path), which is not touched")
            }
            var random = SystemRandom()
            let authority = try inWords { () throws(AuthorityError) in
                try CertificateAuthority(name: name, days: days, now: Date(), using: &random)
            }
            var index = CertificateIndex()
            // The key first: what is left of a start that failed is then seen as an authority, and not written over.
            try write(keyPath, Array(authority.privateKeyPEM.utf8), mode: 0o600)
            try write(certificatePath, Array(try pem(authority).utf8), mode: 0o644)
            try writeList(&index, authority)
        }
    }

    /// Changes the index, and whatever `body` does besides, as the only one.
    func change<Result>(
        _ body: (inout CertificateIndex, CertificateAuthority) throws(RunError) -> Result
    ) throws(RunError) -> Result {
        try locked { () throws(RunError) in
            let authority = try authority()
            var index = try index()
            return try body(&index, authority)
        }
    }

    func save(_ index: CertificateIndex) throws(RunError) {
        guard index.entries.count <= CertificateIndex.limit else {
            throw RunError("the index has its limit of \(CertificateIndex.limit) certificates; make another authority")
        }
        guard let json = try? index.json else { throw RunError("the index cannot be written as JSON") }
        try write(indexPath, json, mode: 0o600)
    }

    /// Writes the revocation list that the index asks for. The index is saved first, with the list's number.
    func writeList(_ index: inout CertificateIndex, _ authority: CertificateAuthority) throws(RunError) {
        let now = Date()
        let (revocations, number) = index.nextList(now: now)
        let list = try inWords { () throws(AuthorityError) in
            try authority.revocationList(revocations, number: number, now: now)
        }
        try save(index)
        try write(listPath, Array(list.pem.utf8), mode: 0o644)
    }

    func index() throws(RunError) -> CertificateIndex {
        let json = try read(indexPath, limit: Self.indexLimit)
        do {
            return try CertificateIndex(json: json)
        } catch {
            throw RunError("\(indexPath) is damaged: \(error)")
        }
    }

    private func authority() throws(RunError) -> CertificateAuthority {
        let certificate = try read(certificatePath, limit: 1 << 20)
        let key = try read(keyPath, limit: 1 << 20, for: .ownerOnly)
        return try inWords { () throws(AuthorityError) in
            try CertificateAuthority(
                certificatePEM: String(decoding: certificate, as: UTF8.self),
                privateKeyPEM: String(decoding: key, as: UTF8.self))
        }
    }

    private func read(_ file: String, limit: Int, for audience: FileAudience = .anyone) throws(RunError) -> [UInt8] {
        do {
            return try readFile(file, limit: limit, for: audience)
        } catch {
            switch error {
            case .exposed: throw RunError("\(file): \(error); run: chmod 600 \(file)")
            case .notFound: throw RunError("\(file): \(error); make an authority with 'penstock pki init'")
            case .notAFile, .tooLarge, .system: throw RunError("\(file): \(error)")
            }
        }
    }

    private func write(_ file: String, _ contents: [UInt8], mode: UInt32) throws(RunError) {
        do {
            try replaceFile(file, contents, mode: mode)
        } catch {
            throw RunError("\(file) cannot be written: \(error)")
        }
    }

    private func pem(_ authority: CertificateAuthority) throws(RunError) -> String {
        do { return try authority.certificatePEM } catch { throw RunError("\(error)") }
    }

    /// Holds flock(2) on a file of its own, which ends with the process, too.
    private func locked<Result>(_ body: () throws(RunError) -> Result) throws(RunError) -> Result {
        let descriptor = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            let reason =
                errno == ENOENT ? "make an authority with 'penstock pki init'" : String(cString: strerror(errno))
            throw RunError("the folder \(path) cannot be used: \(reason)")
        }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw RunError("\(path)/lock: \(String(cString: strerror(errno)))") }
        }
        return try body()
    }
}

private func inWords<Result>(_ body: () throws(AuthorityError) -> Result) throws(RunError) -> Result {
    do { return try body() } catch { throw RunError("\(error)") }
}
