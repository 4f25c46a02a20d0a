/// One thing wrong with a configuration file: where, what, and what to do about it.
package struct ConfigurationProblem: Hashable, Sendable {
    /// The file as the user named it.
    package var file: String
    /// Line and column, counted from 1; nil when the problem is with the file as a whole.
    package var position: Position?
    /// The key with its sections, such as `tun.mtu`; empty when no key is meant.
    package var key: String
    /// What is wrong, with the key's name in it.
    package var message: String
    /// What to write or to run instead.
    package var remedy: String

    package struct Position: Hashable, Comparable, Sendable {
        package var line: Int
        package var column: Int

        package static func < (a: Position, b: Position) -> Bool { (a.line, a.column) < (b.line, b.column) }
    }
}

extension ConfigurationProblem: CustomStringConvertible {
    /// `client.yaml:4:3: unknown key 'adress' in 'tun'; did you mean 'addresses'?`
    package var description: String {
        let place = position.map { "\(file):\($0.line):\($0.column)" } ?? file
        // What a file or a variable says may stand in any of them, and goes to a terminal.
        return withoutControls("\(place): \(message); \(remedy)")
    }
}

/// A configuration file that cannot be used, with everything that is wrong with it, in the order of the file.
package struct ConfigurationError: Error, Hashable, Sendable {
    package var problems: [ConfigurationProblem]

    package init(_ problems: [ConfigurationProblem]) {
        let start = ConfigurationProblem.Position(line: 0, column: 0)
        self.problems = problems.enumerated()
            .sorted { a, b in
                (a.element.position ?? start, a.offset) < (b.element.position ?? start, b.offset)
            }
            .map(\.element)
    }
}

extension ConfigurationError: CustomStringConvertible {
    /// One line for each problem.
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}
