/// The command line.
struct Options {
    enum Mode {
        case measure, list, help
        case single(name: String, operations: Int)
        case memory(flows: Int)
    }

    struct Problem: Error { let message: String }

    var mode = Mode.measure
    var filter: String?
    var json = false
    var check = false
    var measurer = Measurer()

    mutating func read(_ arguments: inout [String]) throws(Problem) {
        var name: String?
        var operations: Int?
        while !arguments.isEmpty {
            let argument = arguments.removeFirst()
            switch argument {
            case "--help", "-h": mode = .help
            case "--list": mode = .list
            case "--json": json = true
            case "--check": check = true
            case "--cpu-time": measurer.clock = .threadTime
            case "--quick":
                measurer.rounds = 5
                measurer.roundNanoseconds = 5_000_000
            case "--filter": filter = try Self.value(argument, &arguments)
            case "--rounds": measurer.rounds = try Self.number(argument, &arguments)
            case "--case": name = try Self.value(argument, &arguments)
            case "--operations": operations = try Self.number(argument, &arguments)
            case "--memory": mode = .memory(flows: max(2, try Self.number(argument, &arguments)))
            default: throw Problem(message: "unknown argument \"\(argument)\"")
            }
        }
        if let name { mode = .single(name: name, operations: operations ?? 1_000_000) }
    }

    private static func value(_ option: String, _ arguments: inout [String]) throws(Problem) -> String {
        guard !arguments.isEmpty else { throw Problem(message: "\(option) needs a value") }
        return arguments.removeFirst()
    }

    private static func number(_ option: String, _ arguments: inout [String]) throws(Problem) -> Int {
        guard let number = Int(try value(option, &arguments)), number > 0 else {
            throw Problem(message: "\(option) needs a number above zero")
        }
        return number
    }
}
