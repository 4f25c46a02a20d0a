import CNgtcp2

/// Takes the qlog of one connection: what it sent, received and lost, packet by packet, as ngtcp2 writes it.
public protocol QlogSink: AnyObject {
    /// Whole records of a JSON text sequence (RFC 7464). The memory is valid during the call only.
    func write(_ records: UnsafeRawBufferPointer)
    /// Nothing more comes.
    func end()
}

/// Makes the sink of a connection, or none.
/// - Parameter connection: the client's first choice of destination connection ID, in hexadecimal: the same on both sides.
public typealias QlogMaker = @Sendable (_ connection: String) -> (any QlogSink)?

extension QuicConnection {
    /// Called before ngtcp2's connection is made, which writes first records at once.
    func startQlog(_ original: ConnectionID, in native: inout ngtcp2_settings) {
        guard let sink = settings.qlog?(original.hexadecimal) else { return }
        qlog = sink
        native.qlog.odcid = original.native
        native.qlog.write = { user, flags, data, count in
            guard let user else { return }
            Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { connection in
                if let data, count > 0 { connection.qlog?.write(UnsafeRawBufferPointer(start: data, count: count)) }
                if flags & UInt32(NGTCP2_QLOG_WRITE_FLAG_FIN) != 0 { connection.qlog?.end() }
            }
        }
    }
}

extension ConnectionID {
    var hexadecimal: String {
        var native = native
        return withUnsafeBytes(of: &native.data) { bytes in
            bytes.prefix(count).map { byte in
                let digits = String(byte, radix: 16)
                return byte < 16 ? "0" + digits : digits
            }.joined()
        }
    }
}
