import Logging
import Primitives
import Sealing
import TestSupport
import Testing
import Tunnel

@testable import Configuration

/// Settings that variables of the environment give.
@Suite struct EnvironmentTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func client(
        _ environment: [String: String], _ text: String = minimalClient
    ) throws(ConfigurationError) -> ClientConfiguration {
        try ClientConfiguration.parse(text, file: folder("c.yaml"), environment: EnvironmentSettings(environment))
    }

    private func problem(_ environment: [String: String], _ text: String = minimalClient) -> String {
        problems(in: folder) { () throws(ConfigurationError) in _ = try client(environment, text) }
    }

    @Test func aVariableComesBeforeTheFile() throws {
        let c = try client(
            [
                "PENSTOCK_TUN_MTU": "1400", "PENSTOCK_LIMITS_UDP_ASSOCIATIONS": "7", "PENSTOCK_SERVER": "[::1]:5",
                "PENSTOCK_ROUTES_CAPTURE": "10.0.0.0/8, 2001:db8::/32,10.0.0.0/8", "PENSTOCK_ROUTES_EXCLUDE": "",
            ], minimalClient + "tun: { mtu: 1300, name: tun7 }\nroutes: { exclude: [192.0.2.0/24] }\n")
        #expect(c.tun.mtu == 1_400 && c.tun.name == "tun7")
        #expect(c.limits.associations == 7)
        #expect(c.server.description == "[::1]:5")
        #expect(c.routes.capture.map(\.description) == ["10.0.0.0/8", "2001:db8::/32"])
        #expect(c.routes.exclude.isEmpty)
    }

    @Test func everythingMayComeFromTheEnvironment() throws {
        let c = try client(
            [
                "PENSTOCK_SERVER": "h:1", "PENSTOCK_TRUST_CA_FILE": "ca.crt", "PENSTOCK_KEY_FILE": "tunnel.key",
                "PENSTOCK_SERVER_KEY": publicKeyText, "PENSTOCK_LOGIN_USER": "alice",
                "PENSTOCK_LOGIN_PASSWORD_FILE": "tunnel.key", "PENSTOCK_LOG_LEVEL": "debug",
            ], "")
        #expect(c.logLevel == .debug)
        #expect(c.serverKey.base64 == publicKeyText && c.key != nil && c.login?.name == "alice")
        guard case .authority = c.trust else {
            Issue.record("\(c.trust)")
            return
        }
    }

    @Test func errorsNameTheVariable() {
        #expect(
            problem(["PENSTOCK_TUN_MTU": "5"])
                == "PENSTOCK_TUN_MTU: 'tun.mtu' is '5'; write a whole number from 1280 to 65535")
        #expect(problem(["PENSTOCK_TUN_MTU": ""]).hasPrefix("PENSTOCK_TUN_MTU: 'tun.mtu' has no value"))
        #expect(
            problem(["PENSTOCK_ROUTES_CAPTURE": "10.0.0.0/8,x"]).hasPrefix(
                "PENSTOCK_ROUTES_CAPTURE: 'routes.capture' is 'x'"))
        #expect(problem(["PENSTOCK_KEY_FILE": "none"]).hasPrefix("PENSTOCK_KEY_FILE: 'key-file' names none"))
        #expect(problem(["PENSTOCK_ROUTES_TABLE": "254"]).hasPrefix("PENSTOCK_ROUTES_TABLE: 'routes.table' is 254"))
        // The text is no YAML: nothing of it can stand for something else.
        #expect(problem(["PENSTOCK_TUN_NAME": "null"]) == "")
        #expect(problem(["PENSTOCK_TUN_NAME": "{ a: b }"]).hasPrefix("PENSTOCK_TUN_NAME: "))
    }

    @Test func strangersAreToldAndNoErrors() throws {
        try folder.write("c.yaml", minimalClient)
        let environment = EnvironmentSettings([
            "PENSTOCK_TUN_MTUU": "1", "PENSTOCK_PORT": "tcp://10.0.0.1:80", "PENSTOCK_DRAIN_TIME": "5s", "HOME": "/",
        ])
        let loaded = try LoadedConfiguration<ClientConfiguration>(folder("c.yaml"), environment: environment)
        // That of the server's setting is known.
        #expect(loaded.warnings.map(\.file) == ["PENSTOCK_PORT", "PENSTOCK_TUN_MTUU"])
        #expect(
            loaded.warnings[1].description
                == "PENSTOCK_TUN_MTUU: no setting belongs to this variable; did you mean 'PENSTOCK_TUN_MTU'?")
    }

    @Test func everySettingHasAVariableOfItsOwn() {
        for reference in [ClientConfiguration.reference, ServerConfiguration.reference] {
            let variables = reference.map { EnvironmentSettings.variable(for: $0.key) }
            #expect(Set(variables).count == variables.count)
        }
    }
}
