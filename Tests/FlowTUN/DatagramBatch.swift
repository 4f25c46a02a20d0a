import FlowNAT
import Primitives

/// The datagrams of one packet from the TUN, copied, since FlowNAT takes no answer while it hands them out.
struct DatagramBatch {
    private struct Entry {
        let association: AssociationID
        let destination: Endpoint
        let bytes: Range<Int>
    }

    private var entries: [Entry] = []
    private var bytes: [UInt8] = []

    mutating func append(_ association: AssociationID, _ destination: Endpoint, _ payload: UnsafeRawBufferPointer) {
        let start = bytes.count
        bytes.append(contentsOf: payload)
        entries.append(Entry(association: association, destination: destination, bytes: start..<bytes.count))
    }

    /// Gives each datagram once, in order, and forgets them.
    mutating func drain(_ body: DatagramConsumer) {
        guard !entries.isEmpty else { return }
        bytes.withUnsafeBytes { all in
            for entry in entries {
                body(entry.association, entry.destination, UnsafeRawBufferPointer(rebasing: all[entry.bytes]))
            }
        }
        entries.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }
}
