import Foundation
import QuicTransport

/// What certs/make-dev-certs has made, read into memory; its directory is gone.
public struct Certificates: Sendable {
    public let authority: [UInt8]
    public let chain: [UInt8]
    public let key: [UInt8]
    /// The `sha256/…` that the script printed.
    public let pinText: String

    /// For `server.test`, `127.0.0.1` and `::1`.
    public static let valid = make(["server.test", "127.0.0.1", "::1"])
    public static let other = make(["server.test"])
    public static let expired = make(["server.test"], days: -1)

    public var identity: ServerIdentity {
        get throws { try ServerIdentity(certificateChainPEM: chain, privateKeyPEM: key) }
    }

    public static let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "certs/make-dev-certs")

    public static func run(_ arguments: [String], days: Int = 825) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = script
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["PENSTOCK_CERT_DAYS": "\(days)"]) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    private static func make(_ names: [String], days: Int = 825) -> Certificates {
        let directory = FileManager.default.temporaryDirectory.appending(path: "penstock-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        do {
            let result = try run([directory.path] + names, days: days)
            guard result.status == 0 else { fatalError("make-dev-certs failed: \(result.output)") }
            let read = { (name: String) in [UInt8](try Data(contentsOf: directory.appending(path: name))) }
            let pin = result.output.split(separator: "pin: ").last.map(String.init) ?? ""
            return Certificates(
                authority: try read("ca.crt"), chain: try read("server.crt"), key: try read("server.key"),
                pinText: pin.trimmingCharacters(in: .whitespacesAndNewlines))
        } catch {
            fatalError("make-dev-certs cannot be used: \(error)")
        }
    }
}
