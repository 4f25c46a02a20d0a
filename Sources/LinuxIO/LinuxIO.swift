// The room for LinuxIO; see docs/ARCHITECTURE.md.
