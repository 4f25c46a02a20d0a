import Server

/// What counts for all clients together is shared out among the loops, which know nothing of each other.
extension ServerSettings {
    /// Clients that may always log in side by side at one loop, few as its connections may be.
    static let leastNewcomers = 16
    /// Questions to name servers that one loop may always have under way: the fewest that the configuration takes for all.
    static let leastQueries = 16
    /// Flows of one client that may wait for names at one loop, where its questions are enough for two such clients.
    static let leastWaiting = 16

    /// Limits for all clients become those of one loop.
    mutating func share(among loops: Int) {
        let share = { (total: Int) in (total + loops - 1) / loops }
        maximumConnections = share(maximumConnections)
        // A quarter: the others are for those who are in.
        maximumNewcomers = min(maximumConnections, max(Self.leastNewcomers, maximumConnections / 4))
        maximumAssociations = share(maximumAssociations)
        maximumFlows = share(maximumFlows)
        names.maximumEntries = share(names.maximumEntries)
        names.maximumQueries = max(Self.leastQueries, share(names.maximumQueries))
        // A flow asks two questions at most. No client has more than a quarter of them, or half where there are few.
        names.maximumWaitingPerConnection = min(
            names.maximumWaitingPerConnection, max(Self.leastWaiting, names.maximumQueries / 8),
            names.maximumQueries / 4)
    }
}
