// swift-tools-version: 6.2
import PackageDescription

// Built by scripts/fuzz, which adds the sanitizers for all modules. The targets' bodies are in Tests/FuzzTargets, where the
// unit tests replay the kept inputs.
let package = Package(
    name: "penstock-fuzz",
    dependencies: [.package(name: "penstock", path: "..")],
    targets: [
        .executableTarget(
            name: "penstock-fuzz",
            dependencies: [.product(name: "FuzzTargets", package: "penstock")],
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .treatAllWarnings(as: .error),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
            ])
    ]
)
