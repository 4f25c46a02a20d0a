import ArgumentParser
import Foundation
import LinuxIO
import Sealing
import UserStore

/// Why there is no password.
struct PasswordEntryError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Where a new password comes from. Never an argument: those stand in `ps` and in the shell's history.
enum PasswordEntry {
    /// Asks twice at the terminal, without showing what is typed.
    static func ask(for user: String) throws(PasswordEntryError) -> Password {
        var first = try readHidden("New password of '\(user)': ")
        defer { SecretBytes.wipe(&first) }
        var second = try readHidden("Once more: ")
        defer { SecretBytes.wipe(&second) }
        guard first == second else { throw PasswordEntryError("the two passwords differ; nothing was changed") }
        return try check(first)
    }

    /// The first line of standard input.
    static func fromStandardInput() throws(PasswordEntryError) -> Password {
        var line = readStandardInput(limit: Password.maximumSize + 2, until: UInt8(ascii: "\n"))
        defer { SecretBytes.wipe(&line) }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        if line.isEmpty { throw PasswordEntryError("standard input has no line; write the password there") }
        return try check(line)
    }

    /// 20 characters of an alphabet without look-alikes: 99 bits.
    static func generated() -> SecretBytes {
        let alphabet = Array("23456789abcdefghjkmnpqrstuvwxyz".utf8)
        var random = SystemRandom()
        var text: [UInt8] = []
        text.reserveCapacity(23)
        defer { SecretBytes.wipe(&text) }
        for place in 0..<20 {
            if place > 0, place % 5 == 0 { text.append(UInt8(ascii: "-")) }
            text.append(alphabet[Int.random(in: alphabet.indices, using: &random)])
        }
        return SecretBytes(copying: text)
    }

    private static func check(_ bytes: [UInt8]) throws(PasswordEntryError) -> Password {
        guard characters(bytes) >= Password.minimumCharacters, let password = Password(bytes) else {
            throw PasswordEntryError(
                "a password has \(Password.minimumCharacters) characters at least and \(Password.maximumSize) bytes at "
                    + "most; nothing was changed")
        }
        return password
    }

    /// Unicode scalars of UTF-8: every byte that does not go on with one.
    private static func characters(_ bytes: [UInt8]) -> Int { bytes.count { $0 & 0xC0 != 0x80 } }

    private static func readHidden(_ prompt: String) throws(PasswordEntryError) -> [UInt8] {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard terminal >= 0 else {
            throw PasswordEntryError(
                "there is no terminal to ask at; pass the password by standard input (--stdin), or let one be made "
                    + "(--generate)")
        }
        defer { close(terminal) }
        var shown = termios()
        guard tcgetattr(terminal, &shown) == 0 else {
            throw PasswordEntryError("the terminal cannot hide what is typed")
        }
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        hidden.c_lflag |= tcflag_t(ECHONL)
        tcsetattr(terminal, TCSAFLUSH, &hidden)
        defer { tcsetattr(terminal, TCSAFLUSH, &shown) }
        _ = prompt.withCString { write(terminal, $0, strlen($0)) }
        var line: [UInt8] = []
        line.reserveCapacity(Password.maximumSize + 1)
        var byte: UInt8 = 0
        while line.count <= Password.maximumSize {
            let count = read(terminal, &byte, 1)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 || byte == 10 { break }
            line.append(byte)
        }
        return line
    }
}

/// What is kept of a password; ends the program where there is no memory for that.
func hashed(_ password: Password) throws(ExitCode) -> PasswordHash {
    var random = SystemRandom()
    guard let hash = PasswordHash(password, random: &random) else {
        printError("there is not enough memory to hash a password: it takes 32 MiB")
        throw .failure
    }
    return hash
}
