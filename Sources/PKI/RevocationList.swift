import Crypto
import Foundation
import SwiftASN1
import X509

/// One certificate that is not to be believed any more.
public struct Revocation: Hashable, Sendable {
    public let serial: SerialNumber
    public let date: Date

    public init(serial: SerialNumber, date: Date) {
        self.serial = serial
        self.date = date
    }
}

extension CertificateAuthority {
    /// The list of what this authority has revoked: an X.509 CRL of version 2 (RFC 5280, section 5).
    ///
    /// It names the end of the authority itself as the time of the next list. Servers read the list from a file that every
    /// revocation writes anew, so its age says nothing. It is valid from a little before, as certificates are: a server whose clock
    /// is behind would refuse it, and the C library's `time` is always some milliseconds behind.
    /// - Parameter number: grows with each list (section 5.2.3).
    public func revocationList(
        _ revocations: [Revocation], number: Int, now: Date
    ) throws(AuthorityError) -> (der: [UInt8], pem: String) {
        do {
            let list = CertificateListBody(
                issuer: certificate.subject,
                keyIdentifier: SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier,
                thisUpdate: try ListTime(now - Self.clockTolerance),
                nextUpdate: try ListTime(certificate.notValidAfter),
                entries: try revocations.map { .init(serial: $0.serial, date: try ListTime($0.date)) }, number: number)
            var bodySerializer = DER.Serializer()
            try bodySerializer.serialize(list)
            let body = bodySerializer.serializedBytes
            let signature = try key.signature(for: body).derRepresentation
            var serializer = DER.Serializer()
            try serializer.appendConstructedNode(identifier: .sequence) { coder in
                coder.serializeRawBytes(body)
                try coder.serialize(SignatureAlgorithm())
                try coder.serialize(ASN1BitString(bytes: Array(signature)[...]))
            }
            let der = serializer.serializedBytes
            return (der, PEMDocument(type: "X509 CRL", derBytes: der).pemString + "\n")
        } catch {
            throw .library("\(error)")
        }
    }
}

/// ecdsa-with-SHA256, without parameters (RFC 5758, section 3.2).
private struct SignatureAlgorithm: DERSerializable {
    func serialize(into coder: inout DER.Serializer) throws {
        try coder.appendConstructedNode(identifier: .sequence) { coder in
            try coder.serialize([1, 2, 840, 10045, 4, 3, 2] as ASN1ObjectIdentifier)
        }
    }
}

/// UTCTime until 2049, GeneralizedTime from then on (RFC 5280, section 5.1.2.4).
private struct ListTime: DERSerializable {
    private enum Form {
        case short(UTCTime)
        case long(GeneralizedTime)
    }
    private let form: Form

    init(_ date: Date) throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
        let year = parts.year ?? 0
        let month = parts.month ?? 0
        let day = parts.day ?? 0
        let (hours, minutes, seconds) = (parts.hour ?? 0, parts.minute ?? 0, parts.second ?? 0)
        form =
            if (1950...2049).contains(year) {
                .short(
                    try UTCTime(year: year, month: month, day: day, hours: hours, minutes: minutes, seconds: seconds))
            } else {
                .long(
                    try GeneralizedTime(
                        year: year, month: month, day: day, hours: hours, minutes: minutes, seconds: seconds,
                        fractionalSeconds: 0))
            }
    }

    func serialize(into coder: inout DER.Serializer) throws {
        switch form {
        case .short(let time): try coder.serialize(time)
        case .long(let time): try coder.serialize(time)
        }
    }
}

/// TBSCertList (RFC 5280, section 5.1).
private struct CertificateListBody: DERSerializable {
    struct Entry: DERSerializable {
        let serial: SerialNumber
        let date: ListTime

        func serialize(into coder: inout DER.Serializer) throws {
            try coder.appendConstructedNode(identifier: .sequence) { coder in
                try coder.serialize(serial.bytes[...])
                try coder.serialize(date)
            }
        }
    }

    let issuer: DistinguishedName
    let keyIdentifier: ArraySlice<UInt8>
    let thisUpdate: ListTime
    let nextUpdate: ListTime
    let entries: [Entry]
    let number: Int

    func serialize(into coder: inout DER.Serializer) throws {
        let identifier = try Certificate.Extension(
            AuthorityKeyIdentifier(keyIdentifier: keyIdentifier), critical: false)
        var value = DER.Serializer()
        try value.serialize(number)
        // cRLNumber (section 5.2.3)
        let numbering = Certificate.Extension(oid: [2, 5, 29, 20], critical: false, value: value.serializedBytes[...])
        try coder.appendConstructedNode(identifier: .sequence) { coder in
            try coder.serialize(1)  // version 2
            try coder.serialize(SignatureAlgorithm())
            try coder.serialize(issuer)
            try coder.serialize(thisUpdate)
            try coder.serialize(nextUpdate)
            // An empty list must be left out (section 5.1.2.6).
            if !entries.isEmpty { try coder.serializeSequenceOf(entries) }
            try coder.serialize(explicitlyTaggedWithTagNumber: 0, tagClass: .contextSpecific) { coder in
                try coder.serializeSequenceOf([identifier, numbering])
            }
        }
    }
}
