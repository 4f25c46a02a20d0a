import Testing

@testable import Tunnel

@Suite struct TunnelErrorCodeTests {
    @Test func codesOnTheWire() {
        let codes = TunnelErrorCode.allCases.map(\.rawValue)
        #expect(codes == Array(0x100...0x10C))
        // QUIC's variable-length integers hold 62 bits (RFC 9000, section 16).
        #expect(codes.allSatisfy { $0 < 1 << 62 })
    }

    @Test func everyCodeHasItsOwnWords() {
        let words = Set(TunnelErrorCode.allCases.map(\.description) + FlowReplyCode.allCases.map(\.description))
        #expect(words.count == TunnelErrorCode.allCases.count + FlowReplyCode.allCases.count)
        #expect(TunnelErrorCode.describe(0x101) == "the connection was reset")
        #expect(TunnelErrorCode.describe(0x1234) == "unknown error code 0x1234")
    }

    @Test func constantsOfTheProtocol() {
        #expect(TunnelProtocol.applicationProtocol == "penstock/2")
        #expect(TunnelProtocol.controlStream == 0)
    }
}
