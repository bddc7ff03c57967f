import IPNetwork
import KernelState
import LinuxSystem
import Netlink

/// Reads what the kernel holds of Weft's into a ``TrackedState``.
struct KernelReader {
    let kernel: any RouteNetlink
    let policy: OwnershipPolicy

    /// Dumps links alone: enough to put them right, before what is on them is read.
    ///
    /// - Parameter former: what the last reading, and notifications since, said of interfaces.
    func readLinks(
        into state: inout TrackedState, after former: InterfaceTable = InterfaceTable()
    ) throws(NetlinkError) -> InterfaceTable {
        let links = try kernel.links()
        let table = InterfaceTable(links, after: former)
        var observed: [InterfaceName: LinkValue] = [:]
        let standbys = state.links.desiredValues.compactMap(\.standbyName) + policy.interfaces.compactMap(\.standby)
        for link in links
        where policy.interfaces.contains(link.name) || state.links.desired(link.name) != nil
            || standbys.contains(link.name)
        {
            observed[link.name] = Self.value(of: link, table)
        }
        state.links.replaceObserved(observed)
        state.renamed = [:]
        state.standbys = [:]
        for case .known(let spec, _) in state.links.desiredValues {
            if observed[spec.name] == nil {
                state.renamed[spec.name] = links.first { Self.isRenamed($0, spec, table) }?.index
            } else if let name = spec.standbyName, let index = table.indices[name],
                case .known(let held, _)? = observed[name], held.kind == spec.kind
            {
                state.standbys[spec.name] = index
            }
        }
        return table
    }

    /// Dumps everything but links; what is not Weft's is left out.
    func readObjects(into state: inout TrackedState, _ table: InterfaceTable) throws(NetlinkError) {
        state.departed = []
        let own = policy.interfaces.compactMap { name in table.indices[name].map { (name, $0) } }
        state.addresses.replaceObserved(try addresses(own))
        state.neighbours.replaceObserved(try neighbours(own))
        state.fdb.replaceObserved(try forwardingEntries(own, wanted: state.fdb.desired(_:)))
        let objects = try nexthopObjects()
        state.nexthops = ours(objects, table)
        try readRoutes(into: &state, objects, table)
    }

    /// Whether the link is the one that should have the name of `spec`: of one VNI, port and family there can be one, and the
    /// MAC address says that it was ours; of tunnels without a remote there can be one for a local address. A TUN device has
    /// nothing of its own but its number.
    private static func isRenamed(_ link: Link, _ spec: LinkSpec, _ table: InterfaceTable) -> Bool {
        guard case .known(let held, _) = value(of: link, table), held.mac == spec.mac else { return false }
        switch (held.kind, spec.kind) {
        case (.vxlan(let old), .vxlan(let new)):
            return old.vni == new.vni && old.port == new.port && old.local.isIPv6 == new.local.isIPv6
        case (.fouTunnel(let old), .fouTunnel(let new)): return old == new
        case (.tun, .tun): return table.renamed[spec.name] == link.index
        default: return false
        }
    }

    static func value(of link: Link, _ table: InterfaceTable) -> LinkValue {
        guard let kind = kind(of: link, table) else { return .alien(kind: link.kind?.name ?? "physical") }
        let spec = LinkSpec(name: link.name, kind: kind, mtu: link.mtu, mac: link.hardwareAddress)
        return .known(spec, isUp: link.flags.contains(.up))
    }

    private static func kind(of link: Link, _ table: InterfaceTable) -> LinkSpec.Kind? {
        switch link.kind {
        case .vxlan(let vxlan):
            guard
                let local = vxlan.local, link.hardwareAddress != nil,
                let lower = vxlan.lower.flatMap({ table.names[$0] })
            else { return nil }
            return .vxlan(
                VXLANSpec(
                    vni: vxlan.vni, port: vxlan.port, local: local, lower: lower, learning: vxlan.learning,
                    gbp: vxlan.gbp))
        case .tun(let tun): return tun.isTun ? .tun : nil
        case .ipip(let settings), .ip6tnl(let settings): return FOUTunnelSpec(settings).map { .fouTunnel($0) }
        default: return nil
        }
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
                guard entry.isSelf, Self.isPlain(entry), let destination = entry.destination else { continue }
                let key = FDBKey(interface: name, mac: entry.mac)
                // A MAC may have several destinations; one that is not wanted makes the entry differ.
                if let seen = observed[key], seen != wanted(key) { continue }
                observed[key] = destination
            }
        }
        return observed
    }

    /// As Weft makes them: one with a port, a VNI or an interface of its own leads elsewhere.
    static func isPlain(_ entry: ForwardingEntry) -> Bool {
        entry.state.contains(.permanent) && entry.port == nil && entry.vni == nil && entry.via == nil
    }

    private func nexthopObjects() throws(NetlinkError) -> [NexthopObject] {
        do {
            return try kernel.nexthops()
        } catch .refused {
            // Linux before 5.3 has none.
            return []
        }
    }

    private func ours(_ objects: [NexthopObject], _ table: InterfaceTable) -> [NexthopKey: UInt32] {
        var observed: [NexthopKey: UInt32] = [:]
        for object in objects where object.proto == OwnershipPolicy.routeProtocol {
            guard let gateway = object.gateway, let name = object.interface.flatMap({ table.names[$0] }) else {
                continue
            }
            observed[NexthopKey(gateway: gateway, interface: name)] = object.id
        }
        return observed
    }

    private func readRoutes(
        into state: inout TrackedState, _ objects: [NexthopObject], _ table: InterfaceTable
    ) throws(NetlinkError) {
        var observed: [RouteKey: RouteValue] = [:]
        var blackholes: [RouteKey: BlackholeValue] = [:]
        var conflicts: [RouteKey: String] = [:]
        var objectsByID: [UInt32: NexthopObject]?
        /// Where the kernel holds several routes of Weft's that differ in where they lead.
        var crowded: Set<RouteKey> = []
        let routes = try kernel.routes(RouteFilter(table: Route.mainTable))
        for var route in routes.lazy.flatMap(Self.ways) {
            guard let key = Self.key(of: route) else { continue }
            if let blackhole = Self.ownBlackhole(route, policy, state) {
                blackholes[key] = blackhole
                continue
            }
            // With net.ipv4.nexthop_compat_mode off the kernel gives the object's id alone.
            if case .nexthopObject(let id, nil) = route.path {
                let known = objectsByID ?? Dictionary(objects.map { ($0.id, $0) }) { $1 }
                objectsByID = known
                let hop = known[id].map {
                    NextHop(gateway: $0.gateway, interface: $0.interface, onlink: $0.onlink)
                }
                route.path = .nexthopObject(id: id, resolved: hop)
            }
            let name = Self.interface(of: route, table)
            let isWanted = state.needs(key)
            switch policy.ownership(of: route, on: name, isWanted: isWanted) {
            case .ours where Self.value(of: route, on: name) != nil:
                let value = Self.value(of: route, on: name)
                guard let other = observed[key] else {
                    observed[key] = value
                    continue
                }
                // What is wanted counts as held, and the rest is too much.
                if value == state.routes.desired(key), value != other { observed[key] = value }
                crowded.insert(key)
            case .ours where isWanted, .foreign where isWanted:
                conflicts[key] = "\(route.destination) \(name.map { "dev \($0) " } ?? "")proto \(route.proto)"
            case .ours, .foreign:
                break
            }
        }
        let counting = crowded.isEmpty ? [:] : observed.filter { crowded.contains($0.key) }
        state.surplus = counting.isEmpty ? [:] : surplus(in: routes, besides: counting, table, state)
        state.routes.replaceObserved(observed)
        state.blackholes.replaceObserved(blackholes)
        state.conflicts = conflicts.filter { observed[$0.key] == nil }
    }

    /// IPv6 makes one route of those with one destination and metric; each next hop can be removed by itself.
    private static func ways(of route: Route) -> [Route] {
        guard route.destination.isIPv6, case .multipath(let nextHops) = route.path else { return [route] }
        return nextHops.map { nextHop in
            var way = route
            way.path = .single(nextHop)
            return way
        }
    }

    /// Weft's routes with one of these keys, but for one each with the value that counts.
    private func surplus(
        in routes: [Route], besides values: [RouteKey: RouteValue], _ table: InterfaceTable, _ state: TrackedState
    ) -> [RouteKey: [Route]] {
        var kept: Set<RouteKey> = []
        var surplus: [RouteKey: [Route]] = [:]
        for route in routes.lazy.flatMap(Self.ways) {
            guard let key = Self.key(of: route), let value = values[key] else { continue }
            let name = Self.interface(of: route, table)
            let isWanted = state.routes.desired(key) != nil
            guard policy.ownership(of: route, on: name, isWanted: isWanted) == .ours else { continue }
            if Self.value(of: route, on: name) == value, kept.insert(key).inserted { continue }
            surplus[key, default: []].append(route)
        }
        return surplus
    }

    /// `nil` for a route that does not drop packets, or not Weft's.
    static func ownBlackhole(_ route: Route, _ policy: OwnershipPolicy, _ state: TrackedState) -> BlackholeValue? {
        guard route.type == .blackhole else { return nil }
        let isWanted = state.blackholes.desired(.blackhole(route.destination)) != nil
        guard policy.ownsBlackhole(route, isWanted: isWanted) else { return nil }
        return BlackholeValue(isMarked: route.proto == OwnershipPolicy.routeProtocol)
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
