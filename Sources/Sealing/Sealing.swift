// The room for Sealing; see docs/ARCHITECTURE.md.
