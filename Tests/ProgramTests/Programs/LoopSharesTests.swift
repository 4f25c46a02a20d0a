import Sealing
import Server
import TestSupport
import Testing

@testable import penstock

@Suite struct LoopSharesTests {
    private func shared(_ loops: Int, _ change: (inout ServerSettings) -> Void = { _ in }) throws -> ServerSettings {
        let key = try #require(KeyPair(privateKey: [UInt8](repeating: 7, count: 32)))
        var settings = ServerSettings(
            identity: try Certificates.valid.identity, keyPair: key, resetKey: [UInt8](repeating: 9, count: 32))
        change(&settings)
        settings.share(among: loops)
        return settings
    }

    @Test func theLoopsHaveItAllTogether() throws {
        for loops in [1, 2, 3, 7, 256] {
            let settings = try shared(loops)
            for (share, total) in [
                (settings.maximumConnections, 1_024), (settings.maximumFlows, 262_144),
                (settings.maximumAssociations, 16_384), (settings.names.maximumEntries, 8_192),
            ] {
                #expect(share * loops >= total && (share - 1) * loops < total, "\(loops) loops")
            }
        }
    }

    /// A quarter of the connections may be of those who have not logged in, sixteen at least, and never more than there may be.
    @Test(arguments: [
        (connections: 1_024, loops: 1, newcomers: 256), (1_024, 8, 32), (100, 1, 25), (64, 1, 16), (60, 1, 16),
        (20, 1, 16),
        (16, 1, 16), (3, 1, 3), (1_024, 32, 16), (1_024, 256, 4), (1, 8, 1),
    ])
    func newcomers(connections: Int, loops: Int, newcomers: Int) throws {
        #expect(try shared(loops) { $0.maximumConnections = connections }.maximumNewcomers == newcomers)
    }

    /// No client's flows ask more than half of its loop's questions, and where there are many no more than a quarter.
    @Test(arguments: [
        (queries: 1_024, loops: 1, asked: 1_024, waiting: 128), (65_536, 1, 65_536, 256), (1_024, 8, 128, 16),
        (1_024, 16, 64, 16), (1_024, 32, 32, 8), (16, 1, 16, 4), (16, 8, 16, 4), (1_024, 256, 16, 4),
    ])
    func questions(queries: Int, loops: Int, asked: Int, waiting: Int) throws {
        let names = try shared(loops) { $0.names.maximumQueries = queries }.names
        #expect(names.maximumQueries == asked && names.maximumWaitingPerConnection == waiting)
        #expect(2 * waiting <= asked / 2)
    }
}
