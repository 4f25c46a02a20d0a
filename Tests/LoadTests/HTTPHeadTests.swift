import Testing

@testable import Load

@Suite struct HTTPHeadTests {
    /// Reads a head in pieces of one size, and gives back what was left over.
    private func read(_ text: String, pieces: Int = .max) -> (HTTPHead, HTTPHead.Progress, String) {
        var head = HTTPHead()
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let part = Array(bytes[start...].prefix(pieces))
            var left = 0
            let progress = part.withUnsafeBytes { memory in
                var rest = memory
                let progress = head.take(&rest)
                left = rest.count
                return progress
            }
            start += part.count
            if progress != .incomplete {
                return (head, progress, String(decoding: bytes[(start - left)...], as: UTF8.self))
            }
        }
        return (head, .incomplete, "")
    }

    @Test(arguments: [1, 2, 3, 7, 1_000])
    func aRequestInPieces(_ pieces: Int) {
        let (head, progress, rest) = read(
            "POST /1024/77 HTTP/1.1\r\nHost: load\r\nCONTENT-length:  12 \r\nConnection: Close\r\n\r\nbody",
            pieces: pieces)
        #expect(progress == .complete)
        #expect(head.wantedAnswer.map { [$0.size, $0.place] } == [1_024, 77])
        #expect(head.contentLength == 12)
        #expect(head.closes)
        #expect("body".hasPrefix(rest))
        #expect(!rest.isEmpty)
    }

    @Test func anAnswer() {
        let (head, _, _) = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        #expect(head.status == 200)
        #expect(head.contentLength == 5)
        #expect(!head.closes)
    }

    @Test func whatIsMissing() {
        let (head, _, _) = read("x\r\n\r\n")
        #expect(head.status == nil)
        #expect(head.wantedAnswer == nil)
        #expect(head.contentLength == 0)
    }

    @Test(arguments: [
        "GET / HTTP/1.1", "GET /a HTTP/1.1", "GET /1/ HTTP/1.1", "GET /1/2/3 HTTP/1.1", "GET 1 HTTP/1.1",
        "GET /-1 HTTP/1.1",
        "GET /1234567890123456 HTTP/1.1",
    ])
    func targetsThatAreNoNumbers(_ line: String) {
        #expect(read("\(line)\r\n\r\n").0.wantedAnswer == nil)
    }

    @Test func lengthsThatAreNoNumbers() {
        for value in ["", "x", "-1", "99999999999999999999"] {
            #expect(read("GET /1 HTTP/1.1\r\nContent-Length: \(value)\r\n\r\n").0.contentLength == nil)
        }
    }

    @Test func aHeadHasALimit() {
        let longest = "GET /1 HTTP/1.1\r\nX: "
        let fill = String(repeating: "x", count: HTTPHead.maximumSize - longest.utf8.count - 4)
        #expect(read(longest + fill + "\r\n\r\n").1 == .complete)
        #expect(read(longest + fill + "x\r\n\r\n").1 == .tooLong)
    }

    @Test func numbersBecomeDigits() {
        for number in [0, 1, 9, 10, 65_521, UInt64.max] {
            var bytes = Array("n=".utf8)
            bytes.append(decimal: number)
            #expect(String(decoding: bytes, as: UTF8.self) == "n=\(number)")
        }
    }
}
