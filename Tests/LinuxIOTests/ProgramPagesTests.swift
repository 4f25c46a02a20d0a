import Testing

@testable import LinuxIO

@Suite struct ProgramPagesTests {
    /// The program goes on as if nothing had happened, and what it does not use is in its memory no more. Other tests run meanwhile and
    /// bring some pages back, far from all.
    @Test func pagesLeaveAndComeBack() throws {
        let fileBytes = {
            let usage = try #require(ProcessUsage.own)
            return usage.resident - usage.anonymous
        }
        let before = try fileBytes()
        #expect(releaseProgramPages() > 1 << 20)
        let after = try fileBytes()
        #expect(after < before, "\(before) bytes before, \(after) after")
        // Code of every library still runs.
        #expect(["b", "a"].sorted().joined(separator: ", ") == "a, b")
    }
}
