// The room for Client; see docs/ARCHITECTURE.md.
