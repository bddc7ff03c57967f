import Glibc
import IPNetwork
import Netlink

extension FakeState {
    enum Insertion { case add, replace, append }

    mutating func insert(_ route: Route, _ insertion: Insertion) throws(Refusal) {
        var route = try completed(route)
        route.flags = []
        let key = RouteKey(route)
        if key.destination.isIPv6 {
            route.metric = key.metric
            return try insertIPv6(route, key, insertion)
        }
        switch insertion {
        case .add:
            guard routes[key] == nil else { throw Refusal(EEXIST) }
            routes[key] = [route]
        case .replace:
            guard routes[key]?.first != route else { return }
            if routes[key] == nil { routes[key] = [route] } else { routes[key]?[0] = route }
        case .append:
            guard !(routes[key]?.contains(route) ?? false) else { throw Refusal(EEXIST) }
            routes[key, default: []].append(route)
        }
        events.append(.routeChanged(resolved(route)))
    }

    mutating func delete(_ route: Route) throws(Refusal) {
        var keys = [RouteKey(route)]
        // Without a metric any will do.
        if route.metric == nil {
            keys = routes.keys.filter {
                $0.table == route.table && $0.destination == route.destination && $0.tos == route.tos
            }.sorted()
        }
        for key in keys {
            guard let index = routes[key]?.firstIndex(where: { route.selects($0) }) else { continue }
            if key.destination.isIPv6, deleteSibling(route, key, index) { return }
            if let removed = routes[key]?.remove(at: index) { events.append(.routeRemoved(resolved(removed))) }
            if routes[key]?.isEmpty ?? false { routes[key] = nil }
            return
        }
        throw Refusal(ESRCH)
    }

    mutating func removeRoutes(silentlyForIPv4 isSilent: Bool = false, where matches: (Route) -> Bool) {
        for (key, held) in routes where held.contains(where: matches) {
            let left = held.filter { !matches($0) }
            routes[key] = left.isEmpty ? nil : left
            guard !isSilent || key.destination.isIPv6 else { continue }
            for route in held where matches(route) { events.append(.routeRemoved(resolved(route))) }
        }
    }

    /// With the next hop of its nexthop object, as a dump shows it.
    func resolved(_ route: Route) -> Route {
        guard case .nexthopObject(let id, _) = route.path, let object = nexthops[id], object.group.isEmpty else {
            return route
        }
        var route = route
        route.path = .nexthopObject(
            id: id,
            resolved: NextHop(gateway: object.gateway, interface: object.interface, onlink: object.onlink))
        return route
    }

    /// The route with what Linux fills in, checked as it does.
    private func completed(_ route: Route) throws(Refusal) -> Route {
        var route = route
        if let source = route.preferredSource, !holdsForUse(source) {
            throw Refusal(EINVAL, source.isIPv6 ? "Invalid source address" : "Invalid prefsrc address")
        }
        switch route.path {
        case .none:
            if route.type == .unicast { throw Refusal(ENODEV, "Nexthop device required") }
            // IPv6 hangs its blackholes on the loopback interface.
            if route.destination.isIPv6 { route.path = .single(NextHop(interface: Self.loopback)) }
        case .single(let nextHop): route.path = .single(try checked(nextHop, family: route.destination.family))
        case .multipath(let nextHops):
            var checked: [NextHop] = []
            for nextHop in nextHops { checked.append(try self.checked(nextHop, family: route.destination.family)) }
            route.path = .multipath(checked)
        case .nexthopObject(let id, _):
            guard nexthops[id] != nil else { throw Refusal(EINVAL, "Nexthop id does not exist") }
            route.path = .nexthopObject(id: id, resolved: nil)
        }
        return route
    }

    func checked(_ nextHop: NextHop, family: AddressFamily) throws(Refusal) -> NextHop {
        var nextHop = nextHop
        nextHop.state = []
        if let interface = nextHop.interface {
            guard let link = links[interface] else { throw Refusal(ENODEV) }
            // IPv6 first looks where the gateway is.
            let asksForGateway = family == .v6 && nextHop.gateway != nil && !nextHop.onlink
            guard link.flags.contains(.up) || asksForGateway else {
                throw Refusal(ENETDOWN, "Nexthop device is not up")
            }
            guard family == .v4 || link.hasIPv6 else { throw Refusal(ENODEV) }
        }
        guard let gateway = nextHop.gateway else {
            guard nextHop.interface != nil else { throw Refusal(ENODEV) }
            return nextHop
        }
        if gateway.isIPv6, holdsForUse(gateway) { throw Refusal(EINVAL, "Gateway can not be a local address") }
        guard !addresses.contains(where: { $0.address == gateway }) || nextHop.onlink else {
            throw Refusal(EINVAL, "Nexthop has invalid gateway")
        }
        if nextHop.onlink {
            guard let interface = nextHop.interface else {
                throw Refusal(EINVAL, "Nexthop device required for onlink")
            }
            guard !gateway.isIPv6 || !leadsElsewhere(gateway, than: interface) else {
                throw Refusal(EINVAL, "Nexthop has invalid gateway or device mismatch")
            }
            return nextHop
        }
        if case .v6(let address) = gateway, address.isLinkLocal { return nextHop }
        let holder = addresses.first { address in
            (nextHop.interface == nil || address.interface == nextHop.interface)
                && address.prefix?.contains(gateway) ?? false && links[address.interface]?.flags.contains(.up) ?? false
        }
        let onLinkRoute = routes.values.lazy.joined().first { route in
            guard case .single(let way) = route.path, way.gateway == nil, route.destination.length > 0 else {
                return false
            }
            return route.type == .unicast && route.destination.contains(gateway)
                && (nextHop.interface == nil || way.interface == nextHop.interface)
        }
        guard let interface = holder?.interface ?? onLinkRoute?.path.nextHop?.interface else {
            throw Refusal(family == .v4 ? ENETUNREACH : EHOSTUNREACH, "Nexthop has invalid gateway")
        }
        nextHop.interface = interface
        return nextHop
    }
}

extension IPAddress {
    /// The prefix of this address alone.
    var hostPrefix: IPPrefix {
        switch self {
        case .v4(let address): .v4(IPv4Prefix(host: address))
        case .v6(let address): .v6(IPv6Prefix(host: address))
        }
    }
}

extension Route {
    /// Whether a request to delete this route means `other`, of the same table, destination and type of service.
    fileprivate func selects(_ other: Route) -> Bool {
        if !destination.isIPv6 {
            if scope != .nowhere, scope != other.scope { return false }
            if type != .unspecified, type != other.type { return false }
            if let preferredSource, preferredSource != other.preferredSource { return false }
        }
        if proto != .unspecified, proto != other.proto { return false }
        switch (path, other.path) {
        case (.none, _): return true
        case (.single(let wanted), .single(let held)):
            return wanted.selects(held)
        case (.single(let wanted), .multipath(let held)) where destination.isIPv6:
            return held.contains(where: wanted.selects)
        case (.multipath(let wanted), .multipath(let held)): return wanted == held
        case (.nexthopObject(let wanted, _), .nexthopObject(let held, _)): return wanted == held
        default: return false
        }
    }
}

extension NextHop {
    /// Whether a request to delete a route by this next hop means one with `other`.
    func selects(_ other: NextHop) -> Bool {
        (interface == nil || interface == other.interface) && (gateway == nil || gateway == other.gateway)
    }
}
