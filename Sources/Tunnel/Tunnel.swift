// The room for Tunnel; see docs/ARCHITECTURE.md.
