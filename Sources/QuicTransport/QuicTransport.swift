// The room for QuicTransport; see docs/ARCHITECTURE.md.
