import LinuxIO

/// Where the files come from that a configuration names: the disk, or memory for links and tests.
package struct FileSource: Sendable {
    /// Path, largest size in bytes, who may be able to read it.
    package typealias Read = @Sendable (String, Int, FileAudience) throws(FileReadError) -> [UInt8]

    package let read: Read
    /// Looks at places where the program keeps data of its own.
    let places: StoragePlaces

    package static let disk = FileSource(places: .disk) { path, limit, audience throws(FileReadError) in
        try readFile(path, limit: limit, for: audience)
    }

    package init(places: StoragePlaces, read: @escaping Read) {
        self.places = places
        self.read = read
    }
}
