extension Attack {
    static var flows: [Attack] { replayedFlows + flippedFlows + cutFlows + shuffledFlows }

    private static var replayedFlows: [Attack] {
        [
            Attack("flow-replayed-in-its-session", .sealingFailures) { (scene) throws(Failure) in
                let session = try scene.logIn()
                let flow = try scene.flow(on: session)
                let recorded = try scene.record(session)
                let attacked = try Flow(session, network: scene.network)
                try attacked.write(recorded)
                return try scene.refusal(of: attacked, beside: flow)
            },
            // The same stream of another session: all but the session's secret is as it was.
            Attack("flow-replayed-from-another-session", .sealingFailures) { (scene) throws(Failure) in
                let recorded = try scene.record(try scene.logIn())
                let session = try scene.logIn()
                let attacked = try Flow(session, network: scene.network)
                let flow = try scene.flow(on: session)
                try attacked.write(recorded)
                return try scene.refusal(of: attacked, beside: flow)
            },
            Attack("flow-moved-to-another-stream", .sealingFailures) { (scene) throws(Failure) in
                let session = try scene.logIn()
                let flow = try scene.flow(on: session)
                let sealer = try Flow(session, network: scene.network)
                let attacked = try Flow(session, network: scene.network)
                try attacked.write(
                    try sealer.sealedRequest(to: scene.options.destination) + (try sealer.sealedChunk(Scene.evil)))
                return try scene.refusal(of: attacked, beside: flow)
            },
        ]
    }

    // MARK: - One bit

    private static var flippedFlows: [Attack] {
        [
            request("flow-epoch-flipped") { $0.changed(at: HeaderPart.epoch) },
            request("flow-salt-flipped") { $0.changed(at: HeaderPart.salt) },
            request("flow-request-length-flipped") { $0.changed(at: HeaderPart.end + ChunkPart.length) },
            request("flow-request-flipped") { $0.changed(at: HeaderPart.end + ChunkPart.payload) },
            request("flow-request-tag-flipped") { $0.changed(at: ChunkPart.tag(of: $0)) },
            chunk("flow-length-flipped") { $0.changed(at: ChunkPart.length) },
            chunk("flow-length-tag-flipped") { $0.changed(at: ChunkPart.lengthTag) },
            chunk("flow-payload-flipped") { $0.changed(at: ChunkPart.payload) },
            // All that is before it is right, and has come long before the tag.
            chunk("flow-payload-end-flipped") { $0.changed(at: ChunkPart.tag(of: $0) - 1) },
            chunk("flow-payload-tag-flipped") { $0.changed(at: ChunkPart.tag(of: $0)) },
        ]
    }

    // MARK: - FIN in the midst

    private static var cutFlows: [Attack] {
        [
            request("flow-cut-in-salt", isFinished: true) { Array($0[..<20]) },
            request("flow-cut-behind-salt", isFinished: true) { Array($0[..<HeaderPart.end]) },
            request("flow-cut-in-request", isFinished: true) { Array($0[..<($0.count - 20)]) },
            chunk("flow-cut-in-length", isFinished: true) { Array($0[..<1]) },
            chunk("flow-cut-in-length-tag", isFinished: true) { Array($0[..<10]) },
            chunk("flow-cut-behind-length", isFinished: true) { Array($0[..<ChunkPart.payload]) },
            chunk("flow-cut-in-payload", isFinished: true) { Array($0[..<($0.count / 2)]) },
            chunk("flow-cut-in-payload-tag", isFinished: true) { Array($0[..<($0.count - 1)]) },
        ]
    }

    // MARK: - Whole chunks

    private static var shuffledFlows: [Attack] {
        [
            Attack("flow-chunks-swapped", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterGoodLine { (flow, _) throws(Failure) in
                    let first = try flow.sealedChunk(Scene.evil)
                    return try flow.sealedChunk(Scene.evil) + first
                }
            },
            Attack("flow-chunk-repeated", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterGoodLine { (_, sent) throws(Failure) in sent }
            },
            Attack("flow-chunk-left-out", .sealingFailures) { (scene) throws(Failure) in
                try scene.afterGoodLine { (flow, _) throws(Failure) in
                    _ = try flow.sealedChunk(Scene.evil)
                    return try flow.sealedChunk(Scene.evil)
                }
            },
        ]
    }

    // MARK: - Kinds

    /// Changes the header or the first chunk, so that the server dials nobody.
    private static func request(
        _ name: String, isFinished: Bool = false, _ change: @escaping ([UInt8]) -> [UInt8]
    ) -> Attack {
        Attack(name, .sealingFailures) { (scene) throws(Failure) in
            let session = try scene.logIn()
            let flow = try scene.flow(on: session)
            let attacked = try Flow(session, network: scene.network)
            try attacked.write(change(try attacked.sealedRequest(to: scene.options.destination)))
            if isFinished { attacked.finish() }
            return try scene.refusal(of: attacked, beside: flow, isFinished: isFinished)
        }
    }

    /// Changes a chunk behind one that has arrived.
    private static func chunk(
        _ name: String, isFinished: Bool = false, _ change: @escaping ([UInt8]) -> [UInt8]
    ) -> Attack {
        Attack(name, .sealingFailures) { (scene) throws(Failure) in
            try scene.afterGoodLine(isFinished: isFinished) { (flow, _) throws(Failure) in
                change(try flow.sealedChunk(Scene.evil))
            }
        }
    }
}

extension Scene {
    /// All that a flow has sent, to its end.
    fileprivate func record(_ session: Session) throws(Failure) -> [UInt8] {
        let flow = try Flow(session, network: network)
        let request = try flow.sealedRequest(to: options.destination)
        try flow.write(request)
        try flow.awaitReply()
        return request + (try exchange(flow))
    }

    /// Sends what `attack` gives on a flow whose destination has got a line, while another flow goes on.
    /// - Parameter attack: is given the flow and its chunk that has arrived.
    fileprivate func afterGoodLine(
        isFinished: Bool = false, _ attack: (Flow, [UInt8]) throws(Failure) -> [UInt8]
    ) throws(Failure) -> String {
        let session = try logIn()
        let flow = try flow(on: session)
        let attacked = try self.flow(on: session)
        let sent = try exchange(attacked)
        try attacked.write(try attack(attacked, sent))
        if isFinished { attacked.finish() }
        return try refusal(of: attacked, beside: flow, isFinished: isFinished)
    }

    /// The attacked flow is reset, and the other one of the same connection goes on.
    fileprivate func refusal(of attacked: Flow, beside flow: Flow, isFinished: Bool = false) throws(Failure) -> String {
        try exchange(flow)
        let answer = try expectReset(attacked, isFinished: isFinished)
        try exchange(flow)
        return answer
    }
}
