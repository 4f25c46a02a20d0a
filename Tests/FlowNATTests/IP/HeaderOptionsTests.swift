import Packets
import Primitives
import Testing

@testable import FlowNAT

struct HeaderOptionsTests {
    private let datagram = Built.udp(from: DatagramTrace.application, to: DatagramTrace.remote, [1, 2, 3])
    private let datagramV6 = Built.udp(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6, [1, 2, 3])
    /// PadN of four zeros, filling an extension header of eight bytes.
    private let padding: [UInt8] = [0, 0, 1, 4, 0, 0, 0, 0]

    // MARK: What works

    @Test(arguments: [
        [UInt8](repeating: 1, count: 4), [7, 7, 4, 0, 0, 0, 0, 0], [68, 12, 5, 0] + [UInt8](repeating: 0, count: 8),
        [148, 4, 0, 0], [UInt8](repeating: 1, count: 40), [0, 131, 3, 4],
    ])
    func optionsOfIPv4(options: [UInt8]) {
        let t = DatagramTrace()
        #expect(t.inject(Built.withOptions(datagram, options)).map(\.payload) == [[1, 2, 3]])

        let flow = Trace()
        flow.inject(Built.withOptions(flow.app.segment(.syn, sequence: 100), options))
        flow.reports(.connect)
        flow.owner.accepts()
        flow.app.expects([.syn, .ack], seq: 0, ack: 101)
        let text = flow.app.segment(
            .psh, sequence: 101, acknowledgment: flow.natStart! &+ 1, payload: (0..<100).map(Trace.pattern))
        flow.inject(Built.withOptions(text, options))
        flow.deliveredInOrder(100)
    }

    @Test func extensionHeadersOfIPv6() {
        let chains: [[(number: UInt8, bytes: [UInt8])]] = [
            [(IPProtocol.hopByHopOptions, [0, 0, 5, 2, 0, 0, 1, 0])],  // router alert
            [(IPProtocol.destinationOptions, padding)],
            [(IPProtocol.hopByHopOptions, padding), (IPProtocol.destinationOptions, padding)],
            [(IPProtocol.routing, [0, 0, 0, 0, 0, 0, 0, 0])],  // type 0 that has arrived: ignored
            [(IPProtocol.destinationOptions, [0, 1] + [UInt8](repeating: 0, count: 14))],
        ]
        for chain in chains {
            let t = DatagramTrace()
            #expect(t.inject(Built.withExtensions(datagramV6, chain)).map(\.payload) == [[1, 2, 3]], "\(chain)")
            let flow = Trace()
            flow.source = DatagramTrace.applicationV6
            flow.destination = DatagramTrace.remoteV6
            flow.inject(Built.withExtensions(flow.app.segment(.syn, sequence: 100), chain))
            flow.reports(.connect)
        }
    }

    // MARK: What is dropped

    /// RFC 7126, sections 4.3 and 4.4.
    @Test(arguments: [[131, 3, 4, 1], [137, 7, 4, 10, 0, 0, 9, 0], [1, 7, 3, 4, 131, 3, 4, 0]] as [[UInt8]])
    func sourceRoutesOfIPv4(options: [UInt8]) {
        let t = Trace()
        t.inject(Built.withOptions(t.app.segment(.syn, sequence: 100), options))
        t.inject(Built.withOptions(datagram, options))
        #expect(t.nat.counters.sourceRouted == 2)
        t.isOver()
    }

    /// RFC 5095, and any other routing header that has not arrived.
    @Test(arguments: [0, 2, 3, 4] as [UInt8])
    func routingHeaders(type: UInt8) {
        let t = DatagramTrace()
        let header = [0, 2, type, 1] + [UInt8](repeating: 0, count: 20)
        #expect(t.inject(Built.withExtensions(datagramV6, [(IPProtocol.routing, header)])).isEmpty)
        #expect(t.nat.counters.sourceRouted == 1 && t.nextPacket() == nil)
    }

    /// RFC 8200, section 4.2: the two highest bits say what a stranger does.
    @Test(arguments: [(0x3E, 0), (0x7E, 1), (0xBE, 1), (0xFE, 1), (0xC2, 1)] as [(UInt8, Int)])
    func unknownOptions(kind: UInt8, dropped: Int) {
        for number in [IPProtocol.hopByHopOptions, IPProtocol.destinationOptions] {
            let t = DatagramTrace()
            let got = t.inject(Built.withExtensions(datagramV6, [(number, [0, 0, kind, 4, 0, 0, 0, 0])]))
            #expect(got.count == 1 - dropped && t.nat.counters.unknownOptions == dropped)
        }
    }

    @Test func disorder() {
        let t = DatagramTrace()
        t.inject(
            Built.withOptions(datagram, [7, 9, 4, 0]), Built.withOptions(datagram, [7, 1, 0, 0]),
            Built.withOptions(datagram, [1, 1, 1, 7]))
        t.inject(
            Built.withExtensions(datagramV6, [(IPProtocol.destinationOptions, [0, 0, 1, 5, 0, 0, 0, 0])]),
            Built.withExtensions(datagramV6, [(IPProtocol.destinationOptions, [0, 0, 1, 3, 0, 0, 0, 1])]),
            Built.withExtensions(
                datagramV6, [(IPProtocol.destinationOptions, padding), (IPProtocol.hopByHopOptions, padding)]))
        #expect(t.nat.counters.malformed == 6 && t.nat.counters.datagramsIn == 0)
    }
}
