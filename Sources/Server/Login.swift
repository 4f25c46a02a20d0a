import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// Names one client's connection for as long as it lives.
public struct SessionID: Hashable, Sendable {
    let index: Int
    let generation: UInt32
}

/// Who wants to come in. The program decides; see `ServerEngine.admit` and `refuse`.
public struct LoginRequest: Equatable, Sendable {
    /// The client's static key. The client has proved to own it, whoever it is.
    public let key: PublicKey
    /// User name and password, if the client gave any. The password is wiped with the last copy.
    public let user: UserLogin?
    /// What the client's TLS certificate says of it, where one was asked for, shown and found good.
    public let certificate: CertificateIdentity?
    public let remote: Endpoint
    /// Name and version of the client's program.
    public let software: String
}

/// The identity in a client's TLS certificate.
public struct CertificateIdentity: Hashable, Sendable {
    /// The user that the certificate names.
    public let user: String
    /// Its serial number, by which it can be revoked.
    public let serialNumber: [UInt8]

    public init(user: String, serialNumber: [UInt8]) {
        self.user = user
        self.serialNumber = serialNumber
    }

    /// The subject's common name is the user; nil where there is none.
    init?(_ certificate: PeerCertificate) {
        guard !certificate.commonName.isEmpty else { return nil }
        self.init(user: certificate.commonName, serialNumber: certificate.serial)
    }
}

/// What a client that is let in may do.
public struct Admission: Hashable, Sendable {
    /// For the log and for the books.
    public let user: String
    /// The place among the user's sessions, with the account that all of them share; nil for a client without limits of its own.
    /// It is given back when the session ends.
    public let seat: Seat?

    public init(user: String, seat: Seat? = nil) {
        self.user = user
        self.seat = seat
    }
}
