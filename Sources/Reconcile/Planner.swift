import IPNetwork
import KernelState
import LinuxSystem
import Netlink

/// A request with the object that it is about and what the object is when it is done.
struct PlannedRequest {
    var request: RouteRequest
    var object: ObjectKey
    var effect: TrackedState.Effect
}

/// Turns differences into requests, in an order that keeps traffic flowing: what a route uses comes before the route, and
/// goes after it.
struct Planner {
    /// From this many IPv4 routes on, next hops become nexthop objects: the kernel finds equal next hops of one interface
    /// by walking a list, so that inserting routes with gateways of their own is quadratic (fib_semantics.c,
    /// `fib_info_hashfn`), and objects are not in that list. IPv6 has no such list (10,000 routes take a tenth of a
    /// second), and keeps plain routes.
    static let nexthopObjectThreshold = 1_500
    /// Ids of Weft's nexthop objects begin here ("WE" in ASCII); other daemons count from 1.
    static let firstNexthopID: UInt32 = 0x5745_0000

    let table: InterfaceTable
    let isDue: (ObjectKey) -> Bool

    // MARK: Links

    /// Links that are made or changed. The names of new ones resolve only after they were made.
    func linkRequests(_ state: TrackedState) -> [PlannedRequest] {
        var plan: [PlannedRequest] = []
        for name in state.links.pending.sorted() where isDue(.link(name)) && state.hasPorts(name) {
            guard let step = state.links.step(for: name) else { continue }
            let index = table.indices[name]
            switch step {
            case .add(.known(let spec, _)):
                if let index = state.renamed[name] {
                    // Old kernels rename only what is down; the next reading finds it by its name and sets it up.
                    plan.append(rename(LinkChange(index: index, isUp: false), name))
                    plan.append(rename(LinkChange(index: index, name: name), name))
                } else if let request = create(spec) {
                    plan.append(request)
                }
            case .change(.alien(let held), .known(let spec, _)):
                if let index { plan += replace(index, of: held, with: spec, state) }
            case .change(.known(let held, let isUp), .known(let spec, _)):
                if let index { plan += change(index, from: held, isUp: isUp, to: spec, state) }
            case .add(.alien), .change(_, .alien), .remove:
                break
            }
        }
        return plan
    }

    private func rename(_ change: LinkChange, _ name: InterfaceName) -> PlannedRequest {
        PlannedRequest(request: .changeLink(change), object: .link(name), effect: .sets)
    }

    private func create(_ spec: LinkSpec) -> PlannedRequest? {
        guard let kind = kind(of: spec) else { return nil }
        let link = NewLink(name: spec.name, kind: kind, mtu: spec.mtu, hardwareAddress: spec.mac, isUp: true)
        return PlannedRequest(request: .createLink(link), object: .link(spec.name), effect: .sets)
    }

    private func kind(of spec: LinkSpec) -> LinkKind? {
        switch spec.kind {
        case .vxlan(let vxlan):
            guard let lower = table.indices[vxlan.lower] else { return nil }
            return .vxlan(
                VXLANSettings(
                    vni: vxlan.vni, port: vxlan.port, local: vxlan.local, lower: lower, learning: vxlan.learning,
                    gbp: vxlan.gbp))
        case .fouTunnel(let tunnel): return tunnel.linkKind
        case .tun:
            // The reconciler makes it by other means.
            return nil
        }
    }

    /// What is in the place of a link goes once the link can be made. The data planes of the udp backend take turns in
    /// one name: there the new one is made first, under another, so that the old one stays where that fails.
    private func replace(
        _ index: Int32, of held: String, with spec: LinkSpec, _ state: TrackedState
    ) -> [PlannedRequest] {
        let removal = PlannedRequest(request: .deleteLink(index: index), object: .link(spec.name), effect: .clears)
        // Of one kind there can be no two with the same local address.
        guard let name = spec.standbyName, kind(of: spec)?.name != held else {
            return create(spec).map { [removal, $0] } ?? []
        }
        if let standby = state.standbys[spec.name] {
            let change = LinkChange(index: standby, name: spec.name, mtu: spec.mtu, isUp: true)
            return [removal, rename(change, spec.name)]
        }
        guard let kind = kind(of: spec) else { return [] }
        return [
            PlannedRequest(
                request: .createLink(NewLink(name: name, kind: kind, mtu: spec.mtu)), object: .link(spec.name),
                effect: .none)
        ]
    }

    private func change(
        _ index: Int32, from held: LinkSpec, isUp: Bool, to spec: LinkSpec, _ state: TrackedState
    ) -> [PlannedRequest] {
        if !held.kind.canChange(to: spec.kind) { return replace(index, of: "", with: spec, state) }
        var change = LinkChange(index: index)
        if held.kind != spec.kind, case .vxlan(var settings)? = kind(of: spec) {
            // The kernel refuses these two on a living interface, even when they say what it has (vxlan_nl2conf).
            settings.port = 0
            settings.gbp = false
            change.kind = .vxlan(settings)
        } else if held.kind != spec.kind, case .fouTunnel(let tunnel) = spec.kind {
            change.kind = tunnel.linkKind
        }
        if held.mtu != spec.mtu { change.mtu = spec.mtu }
        if let mac = spec.mac, held.mac != mac { change.hardwareAddress = mac }
        if !isUp { change.isUp = true }
        return [PlannedRequest(request: .changeLink(change), object: .link(spec.name), effect: .sets)]
    }

    // MARK: What is on links

    /// Everything but links, in one batch.
    func objectRequests(_ state: inout TrackedState) -> [PlannedRequest] {
        var first: [PlannedRequest] = []
        var last: [PlannedRequest] = []
        planAddresses(state, &first, &last)
        // Forwarding entries before the neighbours that name their MACs, as those come before the routes.
        planForwardingEntries(state, &first, &last)
        planNeighbours(state, &first, &last)
        let blackholes = planBlackholes(state)
        let routes = planRoutes(&state, nexthops: &first, last: &last) + blackholes
        return first + routes + last + unwantedLinks(state)
    }

    private func planAddresses(_ state: TrackedState, _ first: inout [PlannedRequest], _ last: inout [PlannedRequest]) {
        for key in state.addresses.pending where isDue(.address(key)) {
            guard let index = table.indices[key.interface], let step = state.addresses.step(for: key) else { continue }
            var address = Address(interface: index, address: key.address, prefixLength: key.prefixLength)
            if key.address.isIPv6 { address.flags = .noDuplicateDetection }
            switch step {
            case .add, .change:
                first.append(PlannedRequest(request: .replaceAddress(address), object: .address(key), effect: .sets))
            case .remove:
                last.append(PlannedRequest(request: .deleteAddress(address), object: .address(key), effect: .clears))
            }
        }
    }

    private func planNeighbours(_ state: TrackedState, _ first: inout [PlannedRequest], _ last: inout [PlannedRequest])
    {
        for key in state.neighbours.pending where isDue(.neighbour(key)) {
            guard let index = table.indices[key.interface], let step = state.neighbours.step(for: key) else { continue }
            switch step {
            case .add(let mac), .change(_, let mac):
                let neighbour = Neighbour(interface: index, address: key.address, linkLayer: mac)
                first.append(
                    PlannedRequest(request: .replaceNeighbour(neighbour), object: .neighbour(key), effect: .sets))
            case .remove:
                let neighbour = Neighbour(interface: index, address: key.address)
                last.append(
                    PlannedRequest(request: .deleteNeighbour(neighbour), object: .neighbour(key), effect: .clears))
            }
        }
    }

    private func planForwardingEntries(
        _ state: TrackedState, _ first: inout [PlannedRequest], _ last: inout [PlannedRequest]
    ) {
        for key in state.fdb.pending where isDue(.fdb(key)) {
            guard let index = table.indices[key.interface], let step = state.fdb.step(for: key) else { continue }
            switch step {
            case .add(let destination), .change(_, let destination):
                let entry = ForwardingEntry(interface: index, mac: key.mac, destination: destination)
                first.append(
                    PlannedRequest(request: .replaceForwardingEntry(entry), object: .fdb(key), effect: .sets))
            case .remove(let destination):
                let entry = ForwardingEntry(interface: index, mac: key.mac, destination: destination)
                last.append(
                    PlannedRequest(request: .deleteForwardingEntry(entry), object: .fdb(key), effect: .clears))
            }
        }
    }

    private static func needsNexthopObjects(_ state: TrackedState) -> Bool {
        // Below the threshold in all, no need to look at each.
        state.routes.desiredCount >= nexthopObjectThreshold
            && state.routes.desiredValues.count { $0.spec.gateway?.isIPv6 == false } >= nexthopObjectThreshold
    }

    /// - Returns: routes to add and change, then routes to remove. Nexthop objects that they need go to `nexthops`, those
    ///   that nothing uses any more to `last`.
    private func planRoutes(
        _ state: inout TrackedState, nexthops: inout [PlannedRequest], last: inout [PlannedRequest]
    ) -> [PlannedRequest] {
        let usesObjects = Self.needsNexthopObjects(state)
        var freeID = max(Self.firstNexthopID, (state.nexthops.values.max() ?? 0) &+ 1)
        var puts: [PlannedRequest] = []
        var removals: [PlannedRequest] = []
        var abandoned: Set<NexthopKey> = []
        for key in state.routes.pending where state.conflicts[key] == nil && isDue(.route(key)) {
            guard let step = state.routes.step(for: key) else { continue }
            switch step {
            case .add(let value), .change(_, let value):
                // When the interface comes, or goes up, a notification has the kernel read and the route put.
                guard let index = table.indices[value.spec.interface], table.isUp(value.spec.interface) else {
                    continue
                }
                var path = RoutePath.single(
                    NextHop(gateway: value.spec.gateway, interface: index, onlink: value.spec.onlink))
                if usesObjects, let gateway = value.spec.gateway, !gateway.isIPv6 {
                    let nexthop = NexthopKey(gateway: gateway, interface: value.spec.interface)
                    let id = state.nexthops[nexthop] ?? freeID
                    if id == freeID {
                        freeID &+= 1
                        state.nexthops[nexthop] = id
                        nexthops.append(create(nexthop, id: id, index: index, onlink: value.spec.onlink))
                    }
                    path = .nexthopObject(id: id, resolved: nil)
                }
                let route = route(key, path)
                var request = RouteRequest.addRoute(route)
                if case .change(let held, _) = step {
                    abandoned.formUnion(nexthop(of: held))
                    if isInTheWay(held.spec, of: value.spec, key) {
                        puts.append(
                            PlannedRequest(
                                request: .deleteRoute(removal(of: key, held)), object: .route(key), effect: .clears))
                    } else {
                        request = .replaceRoute(route)
                    }
                }
                puts.append(PlannedRequest(request: request, object: .route(key), effect: .sets))
            case .remove(let held):
                abandoned.formUnion(nexthop(of: held))
                removals.append(
                    PlannedRequest(request: .deleteRoute(removal(of: key, held)), object: .route(key), effect: .clears))
            }
        }
        for (key, routes) in state.surplus where isDue(.route(key)) {
            for var route in routes {
                // The protocol number tells it from ours, which its next hop alone may not.
                route.scope = .nowhere
                removals.append(
                    PlannedRequest(request: .deleteRoute(route), object: .route(key), effect: .trims))
            }
        }
        abandoned.formIntersection(state.nexthops.keys)
        if !abandoned.isEmpty { abandoned.subtract(state.routes.desiredValues.flatMap(nexthop)) }
        for nexthop in abandoned {
            guard let id = state.nexthops[nexthop] else { continue }
            last.append(PlannedRequest(request: .deleteNexthop(id: id), object: .nexthop(nexthop), effect: .clears))
        }
        return puts + removals
    }

    /// For IPv6 the kernel takes no gateway as on the link that a route leads elsewhere to, and the route that is to be
    /// replaced covers the gateway (net/ipv6/route.c, `ip6_route_check_nh_onlink`).
    private func isInTheWay(_ held: RouteSpec, of wanted: RouteSpec, _ key: RouteKey) -> Bool {
        guard wanted.onlink, held.interface != wanted.interface, let gateway = wanted.gateway else { return false }
        return gateway.isIPv6 && key.destination.contains(gateway)
    }

    /// Ours before another's that it stands in for goes.
    private func planBlackholes(_ state: TrackedState) -> [PlannedRequest] {
        var puts: [PlannedRequest] = []
        var removals: [PlannedRequest] = []
        for key in state.blackholes.pending where isDue(.blackhole(key)) {
            guard let step = state.blackholes.step(for: key) else { continue }
            var route = Route(
                destination: key.destination, proto: OwnershipPolicy.routeProtocol, type: .blackhole,
                metric: key.metric,
                path: .none)
            switch step {
            case .add:
                puts.append(PlannedRequest(request: .addRoute(route), object: .blackhole(key), effect: .sets))
            case .change:
                puts.append(PlannedRequest(request: .replaceRoute(route), object: .blackhole(key), effect: .sets))
            case .remove(let held):
                if !held.isMarked { route.proto = .boot }
                route.scope = .nowhere
                removals.append(PlannedRequest(request: .deleteRoute(route), object: .blackhole(key), effect: .clears))
            }
        }
        return puts + removals
    }

    private func nexthop(of value: RouteValue) -> [NexthopKey] {
        value.spec.gateway.map { [NexthopKey(gateway: $0, interface: value.spec.interface)] } ?? []
    }

    /// Which route is to go. Weft's own are found by their protocol number and never by a next hop: the kernel matches
    /// none given by gateway against a route that uses a nexthop object (fib_semantics.c, `fib_nh_match`).
    private func removal(of key: RouteKey, _ held: RouteValue) -> Route {
        let path: RoutePath =
            held.isMarked ? .none : .single(NextHop(interface: table.indices[held.spec.interface]))
        var route = route(key, path)
        if !held.isMarked { route.proto = .unspecified }
        route.scope = .nowhere
        return route
    }

    private func create(_ key: NexthopKey, id: UInt32, index: Int32, onlink: Bool) -> PlannedRequest {
        let object = NexthopObject(
            id: id, interface: index, gateway: key.gateway, onlink: onlink, proto: OwnershipPolicy.routeProtocol)
        return PlannedRequest(request: .replaceNexthop(object), object: .nexthop(key), effect: .sets)
    }

    private func route(_ key: RouteKey, _ path: RoutePath) -> Route {
        Route(
            destination: key.destination, proto: OwnershipPolicy.routeProtocol,
            metric: key.metric == 0 ? nil : key.metric, path: path)
    }

    private func unwantedLinks(_ state: TrackedState) -> [PlannedRequest] {
        state.links.pending.compactMap { name in
            guard case .remove? = state.links.step(for: name), isDue(.link(name)), let index = table.indices[name]
            else {
                return nil
            }
            return PlannedRequest(request: .deleteLink(index: index), object: .link(name), effect: .clears)
        }
    }
}
