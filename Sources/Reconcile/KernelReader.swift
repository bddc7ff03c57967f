import IPNetwork
import KernelState
import LinuxSystem
import Netlink

/// Reads what the kernel holds of Weft's into a ``TrackedState``.
struct KernelReader {
    let kernel: any RouteNetlink
    let policy: OwnershipPolicy
    let settings: any InterfaceSettings

    /// Dumps links alone: enough to resolve names after links were made.
    func readLinks(into state: inout TrackedState) throws(NetlinkError) -> InterfaceTable {
        let links = try kernel.links()
        let table = InterfaceTable(links)
        var observed: [InterfaceName: LinkValue] = [:]
        for link in links where policy.interfaces.contains(link.name) || state.links.desired(link.name) != nil {
            observed[link.name] = Self.value(of: link, table, settings)
        }
        state.links.replaceObserved(observed)
        return table
    }

    /// Dumps everything; what is not Weft's is left out.
    func readAll(into state: inout TrackedState) throws(NetlinkError) -> InterfaceTable {
        let table = try readLinks(into: &state)
        state.departed = []
        let own = policy.interfaces.compactMap { name in table.indices[name].map { (name, $0) } }
        state.addresses.replaceObserved(try addresses(own))
        state.neighbours.replaceObserved(try neighbours(own))
        state.fdb.replaceObserved(try forwardingEntries(own, wanted: state.fdb.desired(_:)))
        state.nexthops = try nexthops(table)
        try readRoutes(into: &state, table)
        return table
    }

    static func value(of link: Link, _ table: InterfaceTable, _ settings: any InterfaceSettings) -> LinkValue {
        guard
            case .vxlan(let vxlan) = link.kind, let local = vxlan.local, let mac = link.hardwareAddress,
            let lower = vxlan.lower.flatMap({ table.names[$0] })
        else { return .alien(kind: link.kind?.name ?? "physical") }
        let spec = LinkSpec(
            name: link.name,
            kind: .vxlan(
                VXLANSpec(
                    vni: vxlan.vni, port: vxlan.port, local: local, lower: lower, learning: vxlan.learning,
                    gbp: vxlan.gbp)),
            mtu: link.mtu, mac: mac,
            acceptsRouterAdvertisements: settings.acceptsRouterAdvertisements(link.name) ?? false)
        return .known(spec, isUp: link.flags.contains(.up))
    }

    private func addresses(_ own: [(InterfaceName, Int32)]) throws(NetlinkError) -> [AddressKey: Presence] {
        var observed: [AddressKey: Presence] = [:]
        for (name, index) in own {
            for address in try kernel.addresses(interface: index) where Self.isManaged(address) {
                observed[Self.key(of: address, on: name)] = Presence()
            }
        }
        return observed
    }

    /// Link-local addresses are the kernel's own doing.
    static func isManaged(_ address: Address) -> Bool {
        if case .v6(let v6) = address.address { return !v6.isLinkLocal }
        return true
    }

    static func key(of address: Address, on name: InterfaceName) -> AddressKey {
        AddressKey(interface: name, address: address.address, prefixLength: address.prefixLength)
    }

    private func neighbours(_ own: [(InterfaceName, Int32)]) throws(NetlinkError) -> [NeighbourKey: MACAddress] {
        var observed: [NeighbourKey: MACAddress] = [:]
        for (name, index) in own {
            for neighbour in try kernel.neighbours(interface: index) {
                guard neighbour.state.contains(.permanent), let mac = neighbour.linkLayer else { continue }
                observed[NeighbourKey(interface: name, address: neighbour.address)] = mac
            }
        }
        return observed
    }

    private func forwardingEntries(
        _ own: [(InterfaceName, Int32)], wanted: (FDBKey) -> IPAddress?
    ) throws(NetlinkError) -> [FDBKey: IPAddress] {
        var observed: [FDBKey: IPAddress] = [:]
        for (name, index) in own {
            for entry in try kernel.forwardingEntries(interface: index) {
                guard entry.isSelf, entry.state.contains(.permanent), let destination = entry.destination else {
                    continue
                }
                let key = FDBKey(interface: name, mac: entry.mac)
                // A MAC may have several destinations; one that is not wanted makes the entry differ.
                if let seen = observed[key], seen != wanted(key) { continue }
                observed[key] = destination
            }
        }
        return observed
    }

    private func nexthops(_ table: InterfaceTable) throws(NetlinkError) -> [NexthopKey: UInt32] {
        var observed: [NexthopKey: UInt32] = [:]
        let objects: [NexthopObject]
        do {
            objects = try kernel.nexthops()
        } catch .refused {
            // Linux before 5.3 has none.
            return [:]
        }
        for object in objects where object.proto == OwnershipPolicy.routeProtocol {
            guard let gateway = object.gateway, let name = object.interface.flatMap({ table.names[$0] }) else {
                continue
            }
            observed[NexthopKey(gateway: gateway, interface: name)] = object.id
        }
        return observed
    }

    private func readRoutes(into state: inout TrackedState, _ table: InterfaceTable) throws(NetlinkError) {
        var observed: [RouteKey: RouteValue] = [:]
        var conflicts: [RouteKey: String] = [:]
        for route in try kernel.routes(RouteFilter(table: Route.mainTable)) {
            guard let key = Self.key(of: route) else { continue }
            let name = Self.interface(of: route, table)
            let isWanted = state.routes.desired(key) != nil
            switch policy.ownership(of: route, on: name, isWanted: isWanted) {
            case .ours:
                observed[key] = Self.value(of: route, on: name)
            case .foreign where isWanted && observed[key] == nil:
                conflicts[key] = "\(route.destination) \(name.map { "dev \($0) " } ?? "")proto \(route.proto)"
            case .foreign:
                break
            }
        }
        state.routes.replaceObserved(observed)
        state.conflicts = conflicts.filter { observed[$0.key] == nil }
    }

    /// `nil` for what Weft never makes and never looks at: cached exceptions and routes by type of service or source.
    static func key(of route: Route) -> RouteKey? {
        guard route.table == Route.mainTable, route.tos == 0, route.source == nil, !route.flags.contains(.cloned) else {
            return nil
        }
        return RouteKey(destination: route.destination, metric: route.metric ?? 0)
    }

    static func interface(of route: Route, _ table: InterfaceTable) -> InterfaceName? {
        route.path.nextHop?.interface.flatMap { table.names[$0] }
    }

    static func value(of route: Route, on name: InterfaceName?) -> RouteValue? {
        guard route.type == .unicast, let name, let nextHop = route.path.nextHop else { return nil }
        return RouteValue(
            spec: RouteSpec(interface: name, gateway: nextHop.gateway, onlink: nextHop.onlink),
            isMarked: route.proto == OwnershipPolicy.routeProtocol)
    }
}
