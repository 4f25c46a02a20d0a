import Primitives
import QuicTransport
import SimNet
import Testing

@Suite struct HandshakeTests {
    @Test func establishesAndCarriesAStream() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Array("hello".utf8), on: stream, pair.client)
        pair.serverSide.answer = Array("welcome".utf8)
        #expect(pair.run { $0.clientSide.closedSet.contains(stream.id) && $0.serverSide.closedSet.contains(stream.id) })
        #expect(pair.serverSide.received[stream.id] == Array("hello".utf8))
        #expect(pair.clientSide.received[stream.id] == Array("welcome".utf8))
        #expect(pair.serverSide.finished == [stream.id])
        #expect(pair.clientSide.finished == [stream.id])
    }
}
