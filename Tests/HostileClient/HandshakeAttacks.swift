import QuicTransport
import Tunnel

// The first message of the key exchange: suite (1 byte), length (2), ephemeral key (32), sealed static key (32 + 16), and the
// tag of an empty payload (16).

extension Attack {
    static var handshakes: [Attack] {
        [
            Attack("handshake-replayed", .authenticationFailures) { (scene) throws(Failure) in
                let victim = try scene.logIn()
                return try scene.against(victim, victim.keyExchange)
            },
            // Whoever has the server's TLS key can stand between the two and pass on what the client says.
            Attack("handshake-relayed", .authenticationFailures) { (scene) throws(Failure) in
                let victim = try scene.connect()
                let honest = try scene.logIn()
                let answer = try scene.against(honest, victim.keyExchange)
                try victim.logIn()
                try scene.exchange(try scene.flow(on: victim))
                return answer
            },
            flipped("handshake-suite-changed", at: 0, changing: 0b11),
            flipped("handshake-ephemeral-flipped", at: 3),
            // X25519 itself does not look at this bit (RFC 7748, section 5).
            flipped("handshake-ephemeral-top-bit-flipped", at: 3 + 31, changing: 0x80),
            flipped("handshake-static-flipped", at: 3 + 32),
            flipped("handshake-static-tag-flipped", at: 3 + 32 + 32),
            flipped("handshake-payload-flipped", at: 3 + 32 + 48),
            Attack("handshake-repeated", .authenticationFailures) { (scene) throws(Failure) in
                let flow = try scene.flow(on: try scene.logIn())
                let session = try scene.connect()
                try session.exchangeKeys()
                try session.write(session.keyExchange)
                let answer = try scene.expectClose(session.link, .authenticationFailed)
                try scene.exchange(flow)
                return answer
            },
            Attack("handshake-repeated-after-login", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterLogin(expecting: .sealingFailed) { (session) throws(Failure) in session.keyExchange }
            },
            Attack("rekey-replayed", .nothing) { (scene) throws(Failure) in
                try scene.afterLogin(expecting: .protocolViolation) { (session) throws(Failure) in
                    let rekey = try session.rekey()
                    return try session.sealed(rekey)
                }
            },
            Attack("rekey-flipped", .nothing) { (scene) throws(Failure) in
                try scene.afterLogin(expecting: .protocolViolation) { (session) throws(Failure) in
                    let rekey = try session.beginRekey()
                    return try session.sealed(rekey.changed(at: rekey.count - 1))
                }
            },
        ]
    }

    private static func flipped(_ name: String, at index: Int, changing bits: UInt8 = 1) -> Attack {
        Attack(name, .authenticationFailures) { (scene) throws(Failure) in
            let flow = try scene.flow(on: try scene.logIn())
            let session = try scene.connect()
            try session.write(session.keyExchange.changed(at: index, bits))
            let answer = try scene.expectClose(session.link, .authenticationFailed)
            try scene.exchange(flow)
            return answer
        }
    }
}

extension Attack {
    /// What is said on the control stream behind the key exchange.
    static var logins: [Attack] {
        [
            Attack("login-replayed", .authenticationFailures) { (scene) throws(Failure) in
                let victim = try scene.connect()
                try victim.exchangeKeys()
                let hello = try victim.sealedHello()
                try victim.write(hello)
                try victim.awaitWelcome()
                let flow = try scene.flow(on: victim)
                let session = try scene.connect()
                try session.exchangeKeys()
                try session.write(hello)
                let answer = try scene.expectClose(session.link, .authenticationFailed)
                try scene.exchange(flow)
                return answer
            },
            Attack("login-flipped", .authenticationFailures) { (scene) throws(Failure) in
                let flow = try scene.flow(on: try scene.logIn())
                let session = try scene.connect()
                try session.exchangeKeys()
                let hello = try session.sealedHello()
                try session.write(hello.changed(at: hello.count - 20))
                let answer = try scene.expectClose(session.link, .authenticationFailed)
                try scene.exchange(flow)
                return answer
            },
            Attack("login-repeated", .sealingFailures) { (scene) throws(Failure) in
                let flow = try scene.flow(on: try scene.logIn())
                let session = try scene.connect()
                try session.exchangeKeys()
                let hello = try session.sealedHello()
                try session.write(hello)
                try session.awaitWelcome()
                try session.write(hello)
                let answer = try scene.expectClose(session.link, .sealingFailed)
                try scene.exchange(flow)
                return answer
            },
            Attack("control-flipped", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterLogin(expecting: .sealingFailed) { (session) throws(Failure) in
                    let ping = try session.sealed(ControlMessage.ping(1).encode())
                    return ping.changed(at: ping.count - 20)
                }
            },
            Attack("control-repeated", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterLogin(expecting: .sealingFailed) { (session) throws(Failure) in
                    let ping = try session.sealed(ControlMessage.ping(1).encode())
                    try session.write(ping)
                    _ = try session.nextMessage("the pong")
                    return ping
                }
            },
            Attack("control-swapped", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterLogin(expecting: .sealingFailed) { (session) throws(Failure) in
                    let first = try session.sealed(ControlMessage.ping(1).encode())
                    return try session.sealed(ControlMessage.ping(2).encode()) + first
                }
            },
        ]
    }
}

extension Scene {
    /// Sends another connection's key exchange on a new connection, while that other one lives on.
    fileprivate func against(_ honest: Session, _ keyExchange: [UInt8]) throws(Failure) -> String {
        let flow = try flow(on: honest)
        try exchange(flow)
        let attacker = try connect()
        try attacker.write(keyExchange)
        let answer = try expectClose(attacker.link, .authenticationFailed)
        try exchange(flow)
        return answer
    }

    /// Sends what `attack` gives on the control stream of a session that is logged in, while a flow of another one goes on.
    fileprivate func afterLogin(
        expecting code: TunnelErrorCode, _ attack: (Session) throws(Failure) -> [UInt8]
    ) throws(Failure) -> String {
        let flow = try flow(on: try logIn())
        let session = try logIn()
        try session.write(try attack(session))
        let answer = try expectClose(session.link, code)
        try exchange(flow)
        return answer
    }
}
