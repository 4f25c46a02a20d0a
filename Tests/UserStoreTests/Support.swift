import Foundation
import Testing
import UserStore
import Users

/// A folder with an empty file for a database, both gone with the last reference.
final class TemporaryDatabase {
    let folder: URL
    var path: String { folder.appending(path: "users.db").path }

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "penstock-users-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        try Data().write(to: URL(filePath: path))
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func open(_ purpose: UserStore.Purpose = .administration) throws -> UserStore {
        try UserStore(path: path, for: purpose)
    }
}

func name(_ text: String) -> UserName { UserName(text)! }

func key(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: User.keySize) }

/// 2026-07-01.
let july: Int64 = 1_782_864_000

/// Quick to calculate; its bytes are none that are fit for use.
let quick = PasswordHash.Cost(logN: 4, r: 1, p: 1)

func quickHash(_ text: String, _ random: inout Numbers) throws -> PasswordHash {
    let password = try #require(Password(text.utf8))
    return try #require(PasswordHash(password, cost: quick, random: &random))
}

struct Numbers: RandomNumberGenerator {
    var state: UInt64 = 1

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state
    }
}
