import Sealing

// A sealed datagram of the attacks: context, epoch and counter of one byte each, the sealed message, its tag of 16 bytes.

extension Attack {
    static var datagrams: [Attack] {
        [
            Attack("datagram-replayed", .replayed) { (scene) throws(Failure) in
                try scene.besideDatagrams { (association, sent) throws(Failure) in sent }
            },
            // The server has seen so many others that it cannot tell whether this one came before.
            Attack("datagram-older-than-the-window", .replayed) { (scene) throws(Failure) in
                try scene.besideDatagrams { (association, _) throws(Failure) in
                    let held = try association.sealedDatagram(Scene.evilDatagram)
                    for _ in 0..<DatagramOpener.windowSize { _ = try association.sealedDatagram(Scene.evilDatagram) }
                    try scene.exchange(association)
                    return held
                }
            },
            Attack("datagram-from-another-session", .unsealable) { (scene) throws(Failure) in
                // The association has the same stream there, and its first datagram the same counter.
                let other = try scene.association(on: try scene.logIn())
                let recorded = try scene.exchange(other)
                let session = try scene.logIn()
                let association = try scene.association(on: session)
                try association.link.send(datagram: recorded)
                try scene.exchange(association)
                try scene.exchange(try scene.flow(on: session))
                return "nothing of it arrived"
            },
            changed("datagram-context-changed", .withoutAssociation) { $0.changed(at: 0, 0x20) },
            changed("datagram-epoch-flipped", .unsealable) { $0.changed(at: 1) },
            // One that is still to come.
            changed("datagram-counter-flipped", .unsealable) { $0.changed(at: 2, 0x20) },
            changed("datagram-flipped", .unsealable) { $0.changed(at: 3) },
            changed("datagram-end-flipped", .unsealable) { $0.changed(at: $0.count - 17) },
            changed("datagram-tag-flipped", .unsealable) { $0.changed(at: $0.count - 1) },
            changed("datagram-cut", .unsealable) { Array($0.dropLast()) },
            changed("datagram-cut-in-tag", .unsealable) { Array($0[..<10]) },
            Attack("datagram-moved-to-another-association", .unsealable) { (scene) throws(Failure) in
                let session = try scene.logIn()
                let sealer = try Association(session, to: scene.options.destination, network: scene.network)
                let association = try scene.association(on: session)
                // An empty datagram's context is all that is needed to have the other one's.
                let context = try association.sealedDatagram([])[0]
                var datagram = try sealer.sealedDatagram(Scene.evilDatagram)
                datagram[0] = context
                try association.link.send(datagram: datagram)
                try scene.exchange(association)
                try scene.exchange(try scene.flow(on: session))
                return "nothing of it arrived"
            },
        ]
    }

    private static func changed(
        _ name: String, _ counter: Counter, _ change: @escaping ([UInt8]) -> [UInt8]
    ) -> Attack {
        Attack(name, counter) { (scene) throws(Failure) in
            try scene.besideDatagrams { (association, _) throws(Failure) in
                change(try association.sealedDatagram(Scene.evilDatagram))
            }
        }
    }
}

extension Scene {
    /// Sends what `attack` gives between honest datagrams of an association, beside a flow.
    /// - Parameter attack: is given the association and its datagram that has arrived.
    fileprivate func besideDatagrams(
        _ attack: (Association, [UInt8]) throws(Failure) -> [UInt8]
    ) throws(Failure) -> String {
        let session = try logIn()
        let flow = try flow(on: session)
        let association = try association(on: session)
        let sent = try exchange(association)
        try association.link.send(datagram: try attack(association, sent))
        // The way is one and the same: when this one's echo is here, the other one's would be, too.
        try exchange(association)
        try exchange(flow)
        return "nothing of it arrived"
    }
}
