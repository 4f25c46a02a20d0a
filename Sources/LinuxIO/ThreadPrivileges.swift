import CLinux

/// What a single thread may do and see, apart from the rest of the process. The tests' way to an empty network and to a
/// user without rights.
enum ThreadPrivileges {
    /// Moves the calling thread into a network namespace of its own, which vanishes when the last thread, process and
    /// descriptor in it are gone. What the thread opens from then on belongs there.
    static func leaveNetworkNamespace() throws(SystemError) {
        try checked(clinux_unshare_network(), "make a network namespace")
    }

    /// Takes all capabilities from the calling thread.
    static func dropCapabilities() throws(SystemError) { try checked(clinux_drop_capabilities(), "drop capabilities") }
}
