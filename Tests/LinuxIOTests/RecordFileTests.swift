import Glibc
import Testing

@testable import LinuxIO

@Suite struct RecordFileTests {
    private func contents(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = fgetc(file), byte != EOF { bytes.append(UInt8(byte)) }
        return bytes
    }

    private func withPath(_ body: (String) throws -> Void) rethrows {
        let path = "/tmp/penstock-record-file-\(getpid())-\(UInt32.random(in: .min ... .max))"
        defer { unlink(path) }
        try body(path)
    }

    private func append(_ bytes: [UInt8], to file: RecordFile) { bytes.withUnsafeBytes { file.append($0) } }

    @Test func recordsArriveInOrderAndTheFileIsPrivate() throws {
        try withPath { path in
            var expected: [UInt8] = []
            do {
                let file = try RecordFile(create: path, limit: 1 << 20)
                for number in 0..<200 {
                    let record = pattern(1_000, seed: number)
                    expected += record
                    append(record, to: file)
                }
                #expect(file.dropped == 0 && file.failure == nil)
            }
            #expect(contents(path) == expected)
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
    }

    @Test func theLimitLeavesWholeRecords() throws {
        try withPath { path in
            let file = try RecordFile(create: path, limit: 2_500)
            for number in 0..<5 { append(pattern(1_000, seed: number), to: file) }
            file.flush()
            #expect(file.dropped == 3 && file.failure == nil)
            #expect(contents(path).count == 2_000)
        }
    }

    @Test func anExistingFileIsLeftAlone() throws {
        try withPath { path in
            _ = try RecordFile(create: path, limit: 10)
            #expect(throws: SystemError.self) { try RecordFile(create: path, limit: 10) }
        }
    }

    @Test func aDiskThatIsFullEndsTheWriting() throws {
        let failed = try onThread { () throws -> (SystemError?, Int) in
            guard access("/dev/full", W_OK) == 0 else { return (nil, 0) }
            let file = try RecordFile("/dev/full", flags: 0, limit: 1 << 20)
            pattern(1_000).withUnsafeBytes { file.append($0) }
            file.flush()
            pattern(1_000).withUnsafeBytes { file.append($0) }
            return (file.failure, file.dropped)
        }
        #expect(failed.0?.code == ENOSPC)
        #expect(failed.1 == 1)
    }
}
