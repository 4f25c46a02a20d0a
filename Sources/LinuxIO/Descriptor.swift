import CLinux

/// A file descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
    let number: Int32

    /// Takes the result of a CLinux function that opens something.
    init(_ result: Int32, needs: SystemError.Capability? = nil, _ operation: @autoclosure () -> String)
        throws(SystemError)
    {
        number = try checked(result, needs: needs, operation())
    }

    deinit { _ = clinux_close(number) }
}
