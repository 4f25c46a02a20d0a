// The room for Server; see docs/ARCHITECTURE.md.
