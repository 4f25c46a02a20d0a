import FlowNAT
import Packets
import Primitives

/// All that is measured, by name.
struct Case {
    let name: String
    let unit: String
    let bytes: Int
    /// Operations come in multiples of this.
    var multiple = 1
    /// Operations before anything is measured: every flow has opened its windows and has its memory.
    var warmUp = 0
    /// Calls the body with the scenario, ready to run.
    let prepare: (any Runner) -> Void
}

/// Takes a scenario and does something with it.
protocol Runner {
    func run<S: Scenario & ~Copyable>(_ scenario: inout S)
}

enum Catalog {
    /// What a kernel with timestamps puts into a packet of 1500 bytes.
    static let small = 1_448
    /// 44 such segments: the largest super-segment that an IP packet holds whole.
    static let large = 44 * 1_448

    static var cases: [Case] { inbound + outbound + control + parts }

    private static var inbound: [Case] {
        var list: [Case] = []
        for (size, label) in [(small, "1448"), (large, "64K")] {
            for flows in [1, 100, 10_000] {
                list.append(
                    Case(name: "in/\(label)/\(flows)", unit: "segment", bytes: size, warmUp: 8 * flows) { runner in
                        var scenario = Inbound(Rig.Shape(flows: flows), bytes: size)
                        runner.run(&scenario)
                    })
            }
            list.append(
                Case(name: "in/\(label)/1/no-timestamps", unit: "segment", bytes: size) { runner in
                    var scenario = Inbound(Rig.Shape(timestamps: false), bytes: size)
                    runner.run(&scenario)
                })
            list.append(
                Case(name: "in/\(label)/1/ipv6", unit: "segment", bytes: size) { runner in
                    var scenario = Inbound(Rig.Shape(isIPv4: false), bytes: size)
                    runner.run(&scenario)
                })
            list.append(
                Case(name: "in/\(label)/1/checksum", unit: "segment", bytes: size) { runner in
                    var scenario = Inbound(Rig.Shape(checksum: true), bytes: size)
                    runner.run(&scenario)
                })
            list.append(
                Case(name: "in/\(label)/1/copied", unit: "segment", bytes: size) { runner in
                    var scenario = Inbound(Rig.Shape(), bytes: size, isCopying: true)
                    runner.run(&scenario)
                })
        }
        return list
    }

    private static var outbound: [Case] {
        var list: [Case] = []
        for (size, label, perAcknowledgment) in [(small, "1448", 2), (large, "64K", 1)] {
            for flows in [1, 100, 10_000] {
                list.append(
                    Case(
                        name: "out/\(label)/\(flows)", unit: "segment", bytes: size, multiple: perAcknowledgment,
                        warmUp: 8 * flows * perAcknowledgment
                    ) { runner in
                        var scenario = Outbound(
                            Rig.Shape(flows: flows), bytes: size, perAcknowledgment: perAcknowledgment)
                        runner.run(&scenario)
                    })
            }
            list.append(
                Case(name: "out/\(label)/1/no-timestamps", unit: "segment", bytes: size, multiple: perAcknowledgment) {
                    runner in
                    var scenario = Outbound(
                        Rig.Shape(timestamps: false), bytes: size, perAcknowledgment: perAcknowledgment)
                    runner.run(&scenario)
                })
        }
        list.append(
            Case(name: "out/1448/1/checksum", unit: "segment", bytes: small, multiple: 2) { runner in
                var scenario = Outbound(Rig.Shape(offload: false), bytes: small, perAcknowledgment: 2)
                runner.run(&scenario)
            })
        list.append(
            Case(name: "out/1448/1/ipv6", unit: "segment", bytes: 1_428, multiple: 2) { runner in
                var scenario = Outbound(Rig.Shape(isIPv4: false), bytes: 1_428, perAcknowledgment: 2)
                runner.run(&scenario)
            })
        return list
    }

    private static var control: [Case] {
        [
            Case(name: "ack/1", unit: "packet", bytes: 0) { runner in
                var scenario = Acknowledgments(Rig.Shape())
                runner.run(&scenario)
            },
            Case(name: "ack/1/harness", unit: "packet", bytes: 0) { runner in
                var scenario = Acknowledgments(Rig.Shape(), isBaseline: true)
                runner.run(&scenario)
            },
            Case(name: "ack/10000", unit: "packet", bytes: 0, warmUp: 20_000) { runner in
                var scenario = Acknowledgments(Rig.Shape(flows: 10_000))
                runner.run(&scenario)
            },
            Case(name: "lookup/100000", unit: "packet", bytes: 0, warmUp: 200_000) { runner in
                var scenario = Acknowledgments(Rig.Shape(flows: 100_000))
                runner.run(&scenario)
            },
            Case(name: "lookup/100000/harness", unit: "packet", bytes: 0, warmUp: 200_000) { runner in
                var scenario = Acknowledgments(Rig.Shape(flows: 100_000), isBaseline: true)
                runner.run(&scenario)
            },
            Case(name: "timers/10000", unit: "timer", bytes: 0, multiple: 10_000) { runner in
                var scenario = Timers(flows: 10_000)
                runner.run(&scenario)
            },
            Case(name: "connect-close", unit: "connection", bytes: 0) { runner in
                var scenario = Connections()
                runner.run(&scenario)
            },
        ]
    }

    private static var parts: [Case] {
        [
            Case(name: "parse", unit: "packet", bytes: 0) { runner in
                var scenario = Parsing(timestamps: true)
                runner.run(&scenario)
            },
            Case(name: "parse/no-timestamps", unit: "packet", bytes: 0) { runner in
                var scenario = Parsing(timestamps: false)
                runner.run(&scenario)
            },
            Case(name: "checksum/1448", unit: "segment", bytes: small) { runner in
                var scenario = Summing(bytes: small)
                runner.run(&scenario)
            },
            Case(name: "checksum/64K", unit: "segment", bytes: large) { runner in
                var scenario = Summing(bytes: large)
                runner.run(&scenario)
            },
            Case(name: "memcpy/1448", unit: "segment", bytes: small) { runner in
                var scenario = Copying(bytes: small)
                runner.run(&scenario)
            },
            Case(name: "memcpy/64K", unit: "segment", bytes: large) { runner in
                var scenario = Copying(bytes: large)
                runner.run(&scenario)
            },
        ]
    }
}
