/// What a set of latencies looks like. All times are microseconds.
public struct LatencySummary: Codable, Hashable, Sendable {
    public struct Point: Codable, Hashable, Sendable {
        /// 0 to 100: so many of all were as fast as this or faster.
        public var percentile: Double
        public var microseconds: Double

        public init(percentile: Double, microseconds: Double) {
            self.percentile = percentile
            self.microseconds = microseconds
        }
    }

    public var count: Int
    public var minimum: Double
    public var mean: Double
    public var p50: Double
    public var p90: Double
    public var p99: Double
    public var p999: Double
    public var p9999: Double
    public var maximum: Double
    /// For drawing: by percentile, ten points to each nine.
    public var distribution: [Point]

    public init(
        count: Int, minimum: Double, mean: Double, p50: Double, p90: Double, p99: Double, p999: Double, p9999: Double,
        maximum: Double, distribution: [Point]
    ) {
        self.count = count
        self.minimum = minimum
        self.mean = mean
        self.p50 = p50
        self.p90 = p90
        self.p99 = p99
        self.p999 = p999
        self.p9999 = p9999
        self.maximum = maximum
        self.distribution = distribution
    }
}
