import Testing

@testable import LinuxIO

@Suite struct ProgramPagesTests {
    /// The program goes on as if nothing had happened, and what it does not use is in its memory no more. Other tests run meanwhile and
    /// bring their own pages back, so what is compared is what one page's worth of them cannot hide.
    @Test func pagesLeaveAndComeBack() throws {
        let fileBytes = { try #require(ProcessUsage.own).resident - (try #require(ProcessUsage.own)).anonymous }
        let before = try fileBytes()
        #expect(releaseProgramPages() > 1 << 20)
        let after = try fileBytes()
        #expect(after < before, "\(before) bytes before, \(after) after")
        // Code of every library still runs.
        #expect(["b", "a"].sorted().joined(separator: ", ") == "a, b")
    }
}
