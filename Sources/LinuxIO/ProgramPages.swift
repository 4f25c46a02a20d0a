import CLinux

/// Gives back the program's own pages of code and constants, of its libraries too.
///
/// Most of what a program of this size has in memory once it runs is of its start: reading arguments, configuration and
/// certificates, and the runtime's search through all types. What is still used comes back by itself from the file, which the
/// system keeps in memory as long as it has room: some hundred faults of a microsecond each.
/// - Returns: bytes of address space that these pages may fill; 0 where nothing could be given back.
@discardableResult
public func releaseProgramPages() -> Int { clinux_release_program_pages() }
