import CLinux

/// Signals as events (signalfd).
final class SignalSource: EventHandler {
    private let file: Descriptor
    private var bodies: [Int32: (Int32) -> Void]

    init(_ numbers: [Int32], _ body: @escaping (Int32) -> Void) throws(SystemError) {
        file = try Descriptor(clinux_signalfd(-1, numbers, Int32(numbers.count)), "signalfd for \(numbers)")
        bodies = [:]
        for number in numbers { bodies[number] = body }
    }

    var descriptor: Int32 { file.number }

    func add(_ numbers: [Int32], _ body: @escaping (Int32) -> Void) throws(SystemError) {
        let all = Array(Set(bodies.keys).union(numbers))
        try checked(clinux_signalfd(file.number, all, Int32(all.count)), "signalfd for \(numbers)")
        for number in numbers { bodies[number] = body }
    }

    func ready(_ readiness: Readiness) {
        while true {
            let number = clinux_signalfd_read(file.number)
            if number < 0 { return }
            bodies[number]?(number)
        }
    }
}
