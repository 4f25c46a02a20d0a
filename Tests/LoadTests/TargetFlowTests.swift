import Primitives
import Testing

@testable import Load

@Suite struct TargetFlowTests {
    let pattern = Pattern()
    let pool = BlockPool(byteLimit: 1 << 20)

    private func flow(_ service: TargetService) -> TargetFlow {
        TargetFlow(service, pattern: pattern, place: 5, pool: pool)
    }

    private func give(_ flow: TargetFlow, _ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { flow.receive($0) } }
    private func give(_ flow: TargetFlow, _ text: String) -> Bool { give(flow, Array(text.utf8)) }

    /// Takes what the flow has to say, `limit` bytes at most.
    private func take(_ flow: TargetFlow, limit: Int = 10_000) -> [UInt8] {
        var taken: [UInt8] = []
        flow.write { bytes in
            let count = min(limit - taken.count, bytes.count)
            taken += bytes[..<count]
            return count
        }
        return taken
    }

    private func takeText(_ flow: TargetFlow) -> String { String(decoding: take(flow), as: UTF8.self) }

    // MARK: - Echo

    @Test func anEchoTakesNoMoreBeforeItIsHeard() {
        let echo = flow(.echo)
        #expect(echo.wantsBytes)
        #expect(give(echo, "hello"))
        #expect(!echo.wantsBytes)
        #expect(take(echo, limit: 2) == Array("he".utf8))
        #expect(!echo.wantsBytes)
        echo.finishReceiving()
        #expect(!echo.isDone)
        #expect(takeText(echo) == "llo")
        #expect(echo.isDone)
        #expect(pool.outstanding == 0)
    }

    @Test func anEchoWithoutMemoryIsReset() {
        let echo = TargetFlow(.echo, pattern: pattern, place: 0, pool: BlockPool(byteLimit: 0))
        #expect(!give(echo, "x"))
    }

    // MARK: - Sink and source

    @Test func aSinkReportsWhatCame() throws {
        let sink = flow(.sink)
        #expect(give(sink, PatternHeader.encode(9) + Array(pattern.slice(at: 9, limit: 10)) + [1, 2, 3]))
        #expect(take(sink).isEmpty)
        #expect(!sink.isDone)
        sink.finishReceiving()
        var reader = SinkReport.Reader()
        for byte in take(sink, limit: 7) + take(sink) { #expect([byte].withUnsafeBytes { reader.take($0) }) }
        let report = try #require(reader.report)
        #expect(report.count == 21)
        #expect(report.wrong >= 2)
        #expect(sink.wrongBytes == report.wrong)
        #expect(sink.isDone)
        #expect(![0].withUnsafeBytes { reader.take($0) }, "a report has sixteen bytes")
    }

    @Test func aSourceSaysWhereItBegins() {
        let source = flow(.source)
        #expect(take(source, limit: 20) == PatternHeader.encode(5) + pattern.slice(at: 5, limit: 12))
        #expect(give(source, "what comes is of no interest"))
        #expect(take(source, limit: 4) == Array(pattern.slice(at: 17, limit: 4)))
        source.finishReceiving()
        #expect(take(source).isEmpty)
        #expect(source.isDone)
    }

    // MARK: - Requests

    @Test func aRequestIsAnswered() {
        let requests = flow(.requests)
        #expect(give(requests, "POST /4/7 HTTP/1.1\r\nContent-Length: 3\r\n\r\n"))
        #expect(take(requests).isEmpty)
        #expect(give(requests, Array(pattern.slice(at: 7, limit: 3))))
        #expect(!requests.wantsBytes)
        let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".utf8) + pattern.slice(at: 7, limit: 4)
        #expect(take(requests) == answer)
        #expect(requests.wantsBytes)
        #expect(!requests.isDone)
    }

    @Test func aGetOfAPersonIsAnswered() {
        let requests = flow(.requests)
        #expect(give(requests, "GET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
        #expect(take(requests).count == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".utf8.count + 2)
        #expect(requests.isDone)
    }

    @Test func wrongBytesAreTold() {
        let requests = flow(.requests)
        #expect(give(requests, "POST /4/7 HTTP/1.1\r\nContent-Length: 3\r\n\r\n\u{0}\u{0}\u{0}"))
        #expect(takeText(requests) == "HTTP/1.1 422 Wrong Bytes\r\nContent-Length: 0\r\n\r\n")
        #expect(requests.wrongBytes > 0)
    }

    @Test(arguments: [
        "GET /x HTTP/1.1\r\n\r\n", "hello\r\n\r\n", "GET /1/2/3 HTTP/1.1\r\n\r\n",
        "GET /1099511627777 HTTP/1.1\r\n\r\n",
        "GET /1 HTTP/1.1\r\nContent-Length: x\r\n\r\n", String(repeating: "x", count: HTTPHead.maximumSize + 1),
    ])
    func whatIsNoRequestIsRefusedAndEnds(_ text: String) {
        let requests = flow(.requests)
        _ = give(requests, text)
        #expect(takeText(requests) == "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        #expect(requests.isDone)
    }

    @Test func aSecondRequestBeforeTheAnswerIsRefused() {
        let requests = flow(.requests)
        #expect(!give(requests, "GET /1 HTTP/1.1\r\n\r\nGET /1 HTTP/1.1\r\n\r\n"))
    }

    @Test(arguments: ["", "GET /1", "POST /1 HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"])
    func anEndWithoutARequestIsAnEnd(_ text: String) {
        let requests = flow(.requests)
        _ = give(requests, text)
        requests.finishReceiving()
        #expect(take(requests).isEmpty)
        #expect(requests.isDone)
    }

    @Test func anEndAfterARequestWaitsForTheAnswer() {
        let requests = flow(.requests)
        _ = give(requests, "GET /1 HTTP/1.1\r\n\r\n")
        requests.finishReceiving()
        #expect(!requests.isDone)
        #expect(take(requests).count > 1)
        #expect(requests.isDone)
    }
}
