import Foundation

/// How many seeds the simulations run: few in `make test`, as many as `PENSTOCK_SEEDS` says in a soak.
enum Seeds {
    static func upTo(_ usual: UInt64) -> Range<UInt64> {
        let asked = ProcessInfo.processInfo.environment["PENSTOCK_SEEDS"].flatMap { UInt64($0) }
        return 0..<max(1, asked ?? usual)
    }
}
