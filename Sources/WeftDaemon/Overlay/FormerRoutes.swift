import Backends
import IPNetwork
import Leases
import Netlink

/// Routes that a stock flannel may have left behind: it gives its direct routes protocol `boot`, as `ip route add` does, so
/// that one whose lease ended while no daemon ran cannot be told from an operator's. Weft names them and leaves them.
enum FormerRoutes {
    /// Routes of the main table with protocol `boot` that lead through a host on the external interface's link to a
    /// subnet as the config gives them out, and that nobody leases.
    ///
    /// - Parameters:
    ///   - external: the external interface's index.
    ///   - leased: this host's lease and its peers'.
    /// - Returns: each as `ip route` shows it, in the order of `routes`.
    static func find(
        _ routes: [Route], external: Int32, host: HostFacts, config: NetworkConfig, leased: some Sequence<SubnetKey>
    ) -> [String] {
        var known: Set<IPPrefix> = []
        for key in leased {
            if let subnet = key.ipv4 { known.insert(.v4(subnet)) }
            if let subnet = key.ipv6 { known.insert(.v6(subnet)) }
        }
        return routes.compactMap { route in
            guard
                route.table == Route.mainTable, route.proto == .boot, route.type == .unicast, route.tos == 0,
                route.source == nil, case .single(let hop) = route.path, hop.interface == external,
                let gateway = hop.gateway, host.isOnLink(gateway), !known.contains(route.destination),
                gives(config, route.destination)
            else { return nil }
            return "\(route.destination) via \(gateway)"
        }
    }

    private static func gives(_ config: NetworkConfig, _ subnet: IPPrefix) -> Bool {
        switch subnet {
        case .v4(let prefix): config.ipv4?.admits(prefix) ?? false
        case .v6(let prefix): config.ipv6?.admits(prefix) ?? false
        }
    }
}
