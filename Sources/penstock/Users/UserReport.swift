import Configuration
import Foundation
import UserStore
import Users

/// A user as `penstock user list` and `show` print them; in JSON, sizes are bytes, rates bits per second and times ISO 8601.
struct UserReport: Encodable {
    struct MonthReport: Encodable {
        var month: String
        var up: Int
        var down: Int
    }

    struct LimitReport: Encodable {
        var sessions: Int?
        var flows: Int?
        var halfOpen: Int?
        var udpAssociations: Int?
        var bufferedBytes: Int?
        var rateUp: Int?
        var rateDown: Int?
        var monthlyQuota: Int?
        var allow: [String]
    }

    /// `#NUMBER` for one that is damaged and has no name.
    var name: String
    var state: String
    /// What is wrong with an entry that is damaged.
    var damage: String?
    var login: [String]
    var keys: [String]
    var expires: String?
    var created: String?
    var limits: LimitReport
    /// The latest first.
    var usage: [MonthReport]

    init(_ user: User, usage: [(month: Month, usage: Usage)], now: Int64) {
        name = user.name.text
        state = user.isDisabled ? "disabled" : user.isExpired(at: now) ? "expired" : "active"
        login = (user.keys.isEmpty ? [] : ["key"]) + (user.hasPassword ? ["password"] : [])
        keys = user.keys.map { Data($0).base64EncodedString() }
        expires = user.expires.map(momentText)
        created = momentText(user.created)
        let limits = user.limits
        self.limits = LimitReport(
            sessions: limits.sessions, flows: limits.flows, halfOpen: limits.halfOpen,
            udpAssociations: limits.associations, bufferedBytes: limits.bufferedBytes, rateUp: limits.rateUp,
            rateDown: limits.rateDown, monthlyQuota: limits.monthlyQuota, allow: limits.destinations.map(\.description))
        self.usage = usage.map { MonthReport(month: "\($0.month)", up: $0.usage.up, down: $0.usage.down) }
    }

    /// An entry that is no user: nobody logs in by it.
    init(_ row: DamagedUser) {
        name = (UserName(row.name).map(UserReference.name) ?? .number(row.id)).description
        state = "damaged"
        damage = row.reason
        login = []
        keys = []
        limits = LimitReport(allow: [])
        usage = []
    }

    /// All that is known, a line for each thing.
    var lines: [String] {
        if let damage { return ["name: \(name)", "state: \(state)", "damage: \(damage)"] }
        var lines = [
            "name: \(name)", "state: \(state)", "login: \(login.isEmpty ? "none" : login.joined(separator: ", "))",
        ]
        lines += keys.map { "key: \($0)" }
        lines.append("expires: \(expires ?? "never")")
        lines.append("created: \(created ?? "-")")
        func add(_ what: String, _ value: Int?, _ text: (Int) -> String = { "\($0)" }) {
            if let value { lines.append("\(what): \(text(value))") }
        }
        add("sessions", limits.sessions)
        add("flows", limits.flows)
        add("half-open", limits.halfOpen)
        add("udp-associations", limits.udpAssociations)
        add("buffered-bytes", limits.bufferedBytes, sizeText)
        add("rate-up", limits.rateUp, rateText)
        add("rate-down", limits.rateDown, rateText)
        add("quota", limits.monthlyQuota, volumeText)
        lines += limits.allow.map { "allow: \($0)" }
        lines += usage.map { "used in \($0.month): \(roughVolumeText($0.up)) up, \(roughVolumeText($0.down)) down" }
        return lines
    }

    /// Columns of `user list`.
    static let heads = ["NAME", "STATE", "LOGIN", "EXPIRES", "THIS MONTH", "QUOTA"]

    func columns(of month: Month) -> [String] {
        let used = usage.first { $0.month == "\(month)" }
        return [
            name, state, login.isEmpty ? "-" : login.joined(separator: ","),
            expires.map { String($0.prefix(10)) } ?? "-",
            roughVolumeText(Usage(up: used?.up ?? 0, down: used?.down ?? 0).total),
            limits.monthlyQuota.map(volumeText) ?? "-",
        ]
    }
}

/// Columns of equal width, two spaces apart.
func tableText(_ rows: [[String]]) -> String {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
        return cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
    }.joined(separator: "\n")
}

func jsonText(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { preconditionFailure("reports are made of texts and numbers") }
    return String(decoding: data, as: UTF8.self)
}
