// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// One module of ours. What it may import is fixed in docs/ARCHITECTURE.md and checked by scripts/check-imports.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "penstock",
    products: [
        .executable(name: "penstock", targets: ["penstock"]),
        // With the modules whose types its functions take.
        .library(name: "FlowNAT", targets: ["FlowNAT", "Packets", "Primitives"]),
        // For the fuzzers in Fuzz/.
        .library(name: "FuzzTargets", targets: ["FuzzTargets"]),
        .library(name: "QuicTransport", targets: ["QuicTransport"]),
        // For the benchmarks in Benchmarks/, with the module whose types its functions take.
        .library(name: "Sealing", targets: ["Sealing", "Primitives"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.1"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(
            name: "CNgtcp2",
            linkerSettings: [
                .linkedLibrary("ngtcp2"), .linkedLibrary("ngtcp2_crypto_gnutls"), .linkedLibrary("gnutls"),
            ]),
        .target(name: "CLinux"),
        .target(name: "CCares", linkerSettings: [.linkedLibrary("cares")]),
        .target(name: "CIdn2", linkerSettings: [.linkedLibrary("idn2")]),
        .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("crypto")]),
        .target(name: "CQRencode", linkerSettings: [.linkedLibrary("qrencode")]),

        module("Primitives", []),
        module("Packets", ["Primitives"]),
        module("FlowNAT", ["Primitives", "Packets"]),
        module("Sealing", ["Primitives", "COpenSSL"]),
        module("Tunnel", ["Primitives", "Sealing", "CIdn2"]),
        module("QuicTransport", ["Primitives", "CNgtcp2"]),
        module("LinuxIO", ["Primitives", "Packets", "CLinux", "CCares"]),
        module("Users", ["Primitives", "Tunnel"]),
        module("UserStore", ["Primitives", "Users", "COpenSSL", .product(name: "GRDB", package: "GRDB.swift")]),
        module("Client", ["Primitives", "Packets", "FlowNAT", "Sealing", "Tunnel", "QuicTransport"]),
        module("Server", ["Primitives", "Packets", "Sealing", "Tunnel", "QuicTransport", "Users"]),
        module(
            "PKI",
            [
                .product(name: "Crypto", package: "swift-crypto"), .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        module(
            "Configuration",
            [
                "Primitives", "Sealing", "Tunnel", "QuicTransport", "LinuxIO", "Server", "Users",
                .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
            ]),
        module("SimNet", ["Primitives", "Packets"]),
        module(
            "Load",
            [
                "Primitives", "Sealing", "Tunnel", "QuicTransport",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ]),
        .executableTarget(
            name: "penstock",
            dependencies: [
                "Primitives", "Packets", "FlowNAT", "Sealing", "Tunnel", "QuicTransport", "LinuxIO", "Client", "Server",
                "Load", "PKI", "Users", "UserStore", "Configuration", "CQRencode",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        // FlowNAT on a real TUN, without a tunnel behind it: for Tests/Kernel alone, and in no product.
        .executableTarget(
            name: "flowtun", dependencies: ["FlowNAT", "LinuxIO", "Packets", "Primitives"], path: "Tests/FlowTUN",
            swiftSettings: strict),

        // A client that misbehaves: for Tests/Namespace alone, and in no product.
        .executableTarget(
            name: "hostile-client",
            dependencies: ["LinuxIO", "Primitives", "QuicTransport", "Sealing", "Tunnel"], path: "Tests/HostileClient",
            swiftSettings: strict),

        // What several test targets share.
        .target(
            name: "TestSupport", dependencies: ["PKI", "QuicTransport"], path: "Tests/Support", swiftSettings: strict),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Configuration", "FlowNAT", "Packets", "Primitives", "Sealing", "Server", "Tunnel", "Users",
            ],
            path: "Tests/FuzzTargets",
            swiftSettings: strict),
        tests("FuzzReplayTests", ["FuzzTargets"]),
        tests("PrimitivesTests", ["Primitives", "SimNet"]),
        tests("PacketsTests", ["Packets", "Primitives", "SimNet"]),
        tests("SimNetTests", ["SimNet", "Packets", "Primitives"]),
        tests("FlowNATTests", ["FlowNAT", "Packets", "Primitives", "SimNet"], exclude: ["Snapshots"]),
        tests("SealingTests", ["Sealing", "COpenSSL", "Primitives", "SimNet"], exclude: ["Vectors"]),
        tests("TunnelTests", ["Tunnel", "Sealing", "Primitives", "SimNet"]),
        tests("QuicTransportTests", ["QuicTransport", "CNgtcp2", "PKI", "Primitives", "SimNet", "TestSupport"]),
        tests("PKITests", ["PKI", "SimNet"]),
        tests("UsersTests", ["Users", "Primitives", "SimNet", "Tunnel"]),
        tests(
            "UserStoreTests", ["UserStore", "Users", "Primitives", .product(name: "GRDB", package: "GRDB.swift")]),
        tests("LinuxIOTests", ["LinuxIO", "Packets", "Primitives"]),
        tests(
            "ConfigurationTests",
            [
                "Configuration", "PKI", "Primitives", "QuicTransport", "Sealing", "Server", "Tunnel", "Users",
                "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "EngineTests",
            [
                "Client", "Server", "FlowNAT", "QuicTransport", "Sealing", "Tunnel", "Packets", "Primitives", "SimNet",
                "TestSupport", "Users",
            ]),
        tests(
            "LoadTests",
            [
                "Load", "Server", "QuicTransport", "Sealing", "Tunnel", "Primitives", "SimNet", "TestSupport",
            ]),
        tests(
            "ProgramTests",
            [
                "penstock", "Client", "Configuration", "Load", "PKI", "Server", "Sealing", "Tunnel", "Primitives",
                "SimNet", "TestSupport", "Users", "UserStore",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),
    ]
)
