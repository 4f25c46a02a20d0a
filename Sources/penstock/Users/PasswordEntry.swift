import ArgumentParser
import Foundation
import LinuxIO
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
        let first = try readHidden("New password of '\(user)': ")
        let second = try readHidden("Once more: ")
        guard first == second else { throw PasswordEntryError("the two passwords differ; nothing was changed") }
        return try check(first)
    }

    /// The first line of standard input.
    static func fromStandardInput() throws(PasswordEntryError) -> Password {
        guard let line = readLine(strippingNewline: true) else {
            throw PasswordEntryError("standard input has no line; write the password there")
        }
        return try check(Array(line.utf8))
    }

    /// 20 characters of an alphabet without look-alikes: 99 bits.
    static func generated() -> String {
        let alphabet = Array("23456789abcdefghjkmnpqrstuvwxyz")
        var random = SystemRandom()
        let characters = (0..<20).map { _ in alphabet.randomElement(using: &random) ?? "2" }
        return stride(from: 0, to: 20, by: 5).map { String(characters[$0..<$0 + 5]) }.joined(separator: "-")
    }

    private static func check(_ bytes: [UInt8]) throws(PasswordEntryError) -> Password {
        guard let text = String(validating: bytes, as: UTF8.self), text.count >= Password.minimumCharacters,
            let password = Password(bytes)
        else {
            throw PasswordEntryError(
                "a password has \(Password.minimumCharacters) characters at least and \(Password.maximumSize) bytes at "
                    + "most; nothing was changed")
        }
        return password
    }

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
