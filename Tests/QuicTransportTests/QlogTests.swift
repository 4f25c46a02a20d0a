import Foundation
import Primitives
import QuicTransport
import SimNet
import Testing

/// What ngtcp2 writes about a connection can be read.
@Suite struct QlogTests {
    private final class Sink: QlogSink {
        var bytes: [UInt8] = []
        var ends = 0
        func write(_ records: UnsafeRawBufferPointer) { bytes += records }
        func end() { ends += 1 }
    }

    private final class Sinks: @unchecked Sendable {
        var byName: [String: Sink] = [:]
        func make(_ name: String) -> Sink {
            let sink = Sink()
            byName[name] = sink
            return sink
        }
    }

    /// The records of a JSON text sequence (RFC 7464): each behind a record separator.
    private static func records(_ bytes: [UInt8]) throws -> [[String: Any]] {
        try #require(bytes.first == 0x1E)
        return try bytes.split(separator: 0x1E).map { record in
            try #require(try JSONSerialization.jsonObject(with: Data(record)) as? [String: Any])
        }
    }

    @Test func bothSidesWriteTheSameConnection() throws {
        let client = Sinks()
        let server = Sinks()
        do {
            var options = Pair.Options()
            options.link = LinkConditions(delay: .milliseconds(5), loss: 0.02)
            options.client.qlog = { client.make($0) }
            options.server.qlog = { server.make($0) }
            let pair = try Pair(options)
            try pair.connect()
            pair.serverSide.answer = Pair.pattern(100_000, seed: 1)
            let stream = try #require(pair.client.openStream())
            pair.clientSide.send(Pair.pattern(100_000, seed: 2), on: stream, pair.client)
            pair.flush()
            pair.run { $0.clientSide.finished.contains(stream.id) }
            pair.client.close(code: 0, message: "", now: pair.now)
            pair.flush()
            pair.run(for: .seconds(5))
        }
        #expect(client.byName.count == 1 && Set(client.byName.keys) == Set(server.byName.keys))
        for sink in [client, server].flatMap({ $0.byName.values }) {
            let records = try Self.records(sink.bytes)
            #expect(records.first?["qlog_format"] as? String == "JSON-SEQ")
            let names = records.dropFirst().compactMap { $0["name"] as? String }
            #expect(names.count == records.count - 1, "every other record is an event")
            #expect(names.contains("transport:packet_sent") && names.contains("transport:packet_received"))
            #expect(names.contains("recovery:metrics_updated"))
            #expect(sink.ends == 1)
        }
    }
}
