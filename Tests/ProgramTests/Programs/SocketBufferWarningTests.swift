import Testing

@testable import penstock

@Suite struct SocketBufferWarningTests {
    @Test func smallBuffersAreToldWithTheRemedy() {
        #expect(socketBufferWarnings(receive: 4_194_304, send: 8_000_000, wanted: 4_194_304).isEmpty)
        #expect(
            socketBufferWarnings(receive: 212_992, send: 4_194_304, wanted: 4_194_304) == [
                "the kernel granted a receive buffer of 212992 bytes instead of 4194304; "
                    + "run: sysctl -w net.core.rmem_max=4194304"
            ])
        #expect(socketBufferWarnings(receive: 1, send: 1, wanted: 2).last?.contains("net.core.wmem_max=2") == true)
    }
}
