/// The identifier of a QUIC stream (RFC 9000, section 2.1): the two low bits say who opened it and in how many
/// directions it carries bytes.
public struct StreamID: Hashable, Sendable {
    public let rawValue: Int64

    public init(rawValue: Int64) { self.rawValue = rawValue }
}

extension StreamID: CustomStringConvertible {
    public var description: String { "stream \(rawValue)" }
}
