// The room for Packets; see docs/ARCHITECTURE.md.
