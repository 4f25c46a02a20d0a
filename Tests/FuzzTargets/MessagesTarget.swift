import Tunnel

/// Bytes as every message of the tunnel. One that is understood is the same when it is said again.
func fuzzMessages(_ bytes: UnsafeRawBufferPointer) {
    let bytes = Array(bytes)
    if let hello = try? Hello(parsing: bytes) {
        require((try? Hello(parsing: hello.encode())) == hello, "a hello changes")
    }
    if let welcome = try? Welcome(parsing: bytes) {
        require((try? Welcome(parsing: welcome.encode())) == welcome, "a welcome changes")
    }
    if let answer = try? LoginAnswer(parsing: bytes), case .denied(let refusal) = answer {
        let again = try? LoginAnswer(parsing: ControlMessage.denied(refusal).encode())
        require(again == answer, "a refusal changes")
        require(!refusal.description.isEmpty && !refusal.name.isEmpty, "a refusal without words")
    }
    if let message = try? ControlMessage(parsing: bytes) {
        require((try? ControlMessage(parsing: message.encode())) == message, "a control message changes")
    }
    if let request = try? FlowRequest(parsing: bytes) {
        require((try? FlowRequest(parsing: request.encode())) == request, "a request changes")
    }
    if let reply = try? FlowReply(parsing: bytes) {
        require((try? FlowReply(parsing: reply.encode())) == reply, "a reply changes")
    }
}
