import IPNetwork
import KernelState
import LinuxSystem
import Netlink

/// Which of a kernel's objects are Weft's. All else is never touched.
public struct OwnershipPolicy: Hashable, Sendable {
    /// The `rtm_protocol` that Weft's routes carry, so that they can be told from everybody else's. Not in use in
    /// iproute2's table of routing protocols (rt_protos).
    public static let routeProtocol = RouteProtocol(rawValue: 119)

    /// Interfaces on which everything is Weft's.
    public var interfaces: Set<InterfaceName>
    /// The overlay networks: a route that carries Weft's protocol number is ours when it leads into one of them, so that
    /// two daemons for two networks leave each other's routes alone.
    public var networks: [IPPrefix]

    /// FOU ports that are Weft's, whoever made them.
    public var fouPorts: Set<FOUPortKey>

    /// All fields as given.
    public init(interfaces: Set<InterfaceName>, networks: [IPPrefix], fouPorts: Set<FOUPortKey> = []) {
        self.interfaces = interfaces
        self.networks = networks
        self.fouPorts = fouPorts
    }

    enum Ownership: Equatable {
        case ours
        case foreign
    }

    /// - Parameters:
    ///   - interface: the route's interface, when it has one.
    ///   - isWanted: whether the desired state has a route with this key.
    func ownership(of route: Route, on interface: InterfaceName?, isWanted: Bool) -> Ownership {
        // Addresses bring the kernel's own routes with them, which go when the address goes.
        if route.proto == .kernel { return .foreign }
        if let interface, interfaces.contains(interface) { return .ours }
        if route.proto == Self.routeProtocol { return isInNetworks(route.destination) ? .ours : .foreign }
        // A stock flanneld leaves routes with protocol boot behind, which are adopted when they match a lease.
        return route.proto == .boot && isWanted && route.type == .unicast ? .ours : .foreign
    }

    /// Whether a route that drops packets is Weft's, or a stock flanneld's that drops what `isWanted` says Weft is to drop:
    /// flannel's has the metric of a container engine's bridge, which it cuts off when it comes first.
    func ownsBlackhole(_ route: Route, isWanted: Bool) -> Bool {
        route.proto == Self.routeProtocol ? isInNetworks(route.destination) : route.proto == .boot && isWanted
    }

    private func isInNetworks(_ block: IPPrefix) -> Bool {
        networks.contains { $0.contains(block.address) && $0.length <= block.length }
    }
}
