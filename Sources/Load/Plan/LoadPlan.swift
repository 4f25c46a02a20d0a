import Primitives
import Tunnel

/// All that a run is to do.
public struct LoadPlan: Sendable {
    /// Flows of all workloads together.
    public static let maximumFlows = 1_000_000
    public static let maximumWorkloads = 64

    public var workloads: [WorkloadPlan]
    /// The target with the first of its ports.
    public var target: DestinationAddress
    /// How long what is under way at the end may take to end.
    public var drain: Interval = .seconds(10)

    public init(workloads: [WorkloadPlan], target: DestinationAddress) {
        self.workloads = workloads
        self.target = target
    }

    /// Flows that are open at once, at most.
    public var flows: Int { workloads.reduce(0) { $0 + $1.workload.flows } }

    /// From the run's beginning to the end of the last workload.
    public var duration: Interval { workloads.map { $0.start + $0.duration }.max() ?? .zero }

    func address(of service: TargetService) -> DestinationAddress {
        switch target {
        case .endpoint(let endpoint): .endpoint(Endpoint(endpoint.address, endpoint.port &+ service.rawValue))
        case .name(let name, let port): .name(name, port: port &+ service.rawValue)
        }
    }
}
