import LinuxIO

/// What is wrong with a socket's buffers, in words for whoever may change that. Small ones lose datagrams in every burst.
func socketBufferWarnings(_ socket: UDPSocket) -> [String] {
    socketBufferWarnings(receive: socket.receiveBuffer, send: socket.sendBuffer, wanted: UDPSocket.bufferSize)
}

/// - Parameters:
///   - receive, send: the bytes that the kernel granted.
func socketBufferWarnings(receive: Int, send: Int, wanted: Int) -> [String] {
    [("receive", receive, "net.core.rmem_max"), ("send", send, "net.core.wmem_max")].compactMap { name, granted, key in
        guard granted < wanted else { return nil }
        return "the kernel granted a \(name) buffer of \(granted) bytes instead of \(wanted); "
            + "run: sysctl -w \(key)=\(wanted)"
    }
}
