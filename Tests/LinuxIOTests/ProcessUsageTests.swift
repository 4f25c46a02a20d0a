import Primitives
import Testing

@testable import LinuxIO

@Suite struct ProcessUsageTests {
    @Test func thisProcessHasMemoryAndAStart() throws {
        let usage = try #require(ProcessUsage.own)
        #expect(usage.resident > 1 << 20)
        #expect(usage.anonymous > 0 && usage.anonymous <= usage.resident)
        #expect(usage.startTicks > 0)
        #expect(ProcessUsage(of: ownProcessID)?.startTicks == usage.startTicks)
    }

    @Test func noProcessHasNone() {
        // Above every limit of the kernel (PID_MAX_LIMIT).
        #expect(ProcessUsage(of: 1 << 30) == nil)
    }

    private func stat(name: String, state: String = "S") -> String {
        "4242 (\(name)) \(state) 1 4242 4242 0 -1 4194560 900 0 0 0 250 31 0 0 20 0 3 0 987654 1000000 5000 18446744073709551615"
    }

    @Test(arguments: ["penstock", "a b", ") S 1 2 3", "", "((("])
    func theNameMayHoldAnything(_ name: String) throws {
        let usage = try #require(
            ProcessUsage(
                stat: stat(name: name), status: "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\n",
                ticksPerSecond: 100))
        #expect(usage.cpu == .milliseconds(2_810))
        #expect(usage.startTicks == 987_654)
        #expect(usage.resident == 2_048 * 1_024)
        #expect(usage.anonymous == 512 * 1_024)
    }

    @Test func aZombieHasEnded() {
        #expect(ProcessUsage(stat: stat(name: "x", state: "Z"), status: "", ticksPerSecond: 100) == nil)
    }

    @Test(arguments: [
        "", "4242 penstock S 1", "4242 (x) S 1 2 3", ")", "1 (x) S 1 1 1 1 1 1 1 1 1 1 a b 1 1 1 1 1 1 c",
    ])
    func whatIsNoStatIsNoProcess(_ stat: String) {
        #expect(ProcessUsage(stat: stat, status: "", ticksPerSecond: 100) == nil)
    }

    @Test func theMachineIsNamed() { #expect(machineText().hasPrefix("Linux ")) }
}
