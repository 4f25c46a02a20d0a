// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "penstock-benchmarks",
    dependencies: [.package(name: "penstock", path: "..")],
    targets: [
        // Counts calls of malloc in the whole process.
        .target(name: "CAllocationCount"),
        .executableTarget(
            name: "flownat-bench",
            dependencies: ["CAllocationCount", .product(name: "FlowNAT", package: "penstock")],
            swiftSettings: strict),
        .executableTarget(
            name: "sealing-bench",
            dependencies: ["CAllocationCount", .product(name: "Sealing", package: "penstock")],
            swiftSettings: strict),
    ]
)
