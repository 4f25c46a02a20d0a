import Logging
import Primitives
import Users

/// The line of a login that came to nothing, as docs/USERS.md promises it to fail2ban: fields in the order of their names, so the client
/// comes before anything that it could have chosen.
enum LoginLine {
    static let failed = "login failed"
    static let refused = "login refused"

    /// - Parameter name: what the client called itself, where that has the form of a name.
    static func fields(_ client: Endpoint, _ reason: String, _ name: UserName?) -> Logger.Metadata {
        [
            "client": "\(Endpoint(client.address.unmapped, client.port))", "reason": "\(reason)",
            "user": "\(name?.text ?? "-")",
        ]
    }
}
