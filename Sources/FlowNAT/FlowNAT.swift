// The room for FlowNAT; see docs/ARCHITECTURE.md.
