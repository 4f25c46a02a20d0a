import CLinux

enum NetworkNamespace {
    /// Moves the calling thread into a network namespace of its own, which vanishes when the last thread, process and
    /// descriptor in it are gone. What the thread opens from then on belongs there.
    static func leave() throws(SystemError) {
        try checked(clinux_unshare_network(), "make a network namespace")
    }
}
