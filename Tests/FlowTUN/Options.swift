import FlowNAT
import Primitives

/// What flowtun was asked for.
struct Options {
    static let usage = """
        usage: flowtun [OPTION...]

        Makes a TUN device, ends every TCP connection that comes out of it with FlowNAT, and serves it by its destination
        port (Service.swift); datagrams of UDP to port 7 are echoed. Prints its counters at SIGUSR1, and at the end, which SIGTERM brings.

          --name NAME               of the TUN device; flow0 without
          --offload on|off          super-segments and partial checksums
          --mtu BYTES               as the device is going to have it; flowtun sets no addresses and nothing up
          --window BYTES            the largest receive window
          --send-queue BYTES        what lies ready to be sent on one connection at most
          --memory MIB              of all buffers together
          --flows COUNT             at once; as many may be half open
          --time-wait MILLISECONDS
          --initial-sequence NUMBER of every connection; hexadecimal with 0x
        """

    var name = "flow0"
    var offload = true
    var sendQueue = 512 << 10
    var memory = 256 << 20
    var flows = FlowSettings()

    struct Problem: Error {
        let text: String
    }

    init(_ arguments: [String]) throws(Problem) {
        var rest = arguments[...]
        while let key = rest.popFirst() {
            guard let value = rest.popFirst() else { throw Problem(text: "\(key) needs a value") }
            switch key {
            case "--name": name = value
            case "--offload": offload = value == "on"
            case "--mtu": flows.mtu = try Self.number(key, value, in: 68...65_535)
            case "--window": flows.receiveWindow = try Self.number(key, value, in: 1...1 << 30)
            case "--send-queue": sendQueue = try Self.number(key, value, in: 1...1 << 30)
            case "--memory": memory = try Self.number(key, value, in: 1...1 << 20) << 20
            case "--flows":
                flows.maximumFlows = try Self.number(key, value, in: 1...1 << 20)
                // Of a part of the half-open ones a new host gets no more than a share.
                flows.maximumHalfOpen = 2 * flows.maximumFlows
                flows.maximumHalfOpenPerSource = flows.maximumFlows
            case "--time-wait": flows.timeWait = .milliseconds(Int64(try Self.number(key, value, in: 0...3_600_000)))
            case "--initial-sequence":
                flows.initialSequence = UInt32(try Self.number(key, value, in: 0...Int(UInt32.max)))
            default: throw Problem(text: "unknown option \(key)")
            }
        }
    }

    private static func number(_ key: String, _ value: String, in range: ClosedRange<Int>) throws(Problem) -> Int {
        let number = value.hasPrefix("0x") ? Int(value.dropFirst(2), radix: 16) : Int(value)
        guard let number, range.contains(number) else {
            throw Problem(text: "\(key) needs a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
