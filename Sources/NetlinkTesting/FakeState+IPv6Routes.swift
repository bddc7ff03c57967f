import Glibc
import IPNetwork
import Netlink

// IPv6 keeps routes otherwise than IPv4 (net/ipv6/ip6_fib.c): of one destination and metric, those with gateways are one
// route with several next hops, and the others stand beside it.
extension FakeState {
    /// As `fib6_add_rt2node` does.
    mutating func insertIPv6(_ route: Route, _ key: RouteKey, _ insertion: Insertion) throws(Refusal) {
        let held = routes[key] ?? []
        let like = held.firstIndex { $0.canShare == route.canShare }
        switch insertion {
        case .add:
            guard held.isEmpty else { throw Refusal(EEXIST) }
            routes[key] = [route]
        case .replace:
            // Its next hops go together; where there is none of its like, it takes the place of the first.
            if let index = like ?? held.indices.first { routes[key]?[index] = route } else { routes[key] = [route] }
        case .append:
            // Whatever else they say, two of one next hop are one.
            guard !held.contains(where: { !Set($0.ways).isDisjoint(with: route.ways) }) else { throw Refusal(EEXIST) }
            if let like, route.canShare {
                routes[key]?[like].path = .multipath(held[like].nextHops + route.nextHops)
            } else {
                routes[key] = held + [route]
            }
            events.append(
                .routeChanged(routes[key]?[like.flatMap { route.canShare ? $0 : nil } ?? held.count] ?? route))
            return
        }
        events.append(.routeChanged(resolved(route)))
    }

    /// A request that names a gateway takes that next hop alone.
    ///
    /// - Returns: Whether there were more, so that the route stays.
    mutating func deleteSibling(_ wanted: Route, _ key: RouteKey, _ index: Int) -> Bool {
        guard
            let held = routes[key]?[index], case .multipath(var nextHops) = held.path,
            let way = wanted.path.nextHop, way.gateway != nil, let position = nextHops.firstIndex(where: way.selects)
        else { return false }
        var removed = held
        removed.path = .single(nextHops.remove(at: position))
        routes[key]?[index].path = nextHops.count == 1 ? .single(nextHops[0]) : .multipath(nextHops)
        events.append(.routeRemoved(removed))
        return true
    }

    /// Of a route with several next hops those that are left stay.
    mutating func removeIPv6Routes(through interface: Int32) {
        for (key, held) in routes where key.destination.isIPv6 {
            for route in held where route.uses(interface) {
                let left = route.nextHops.filter { $0.interface != interface }
                for nextHop in route.nextHops where nextHop.interface == interface {
                    var removed = route
                    removed.path = .single(nextHop)
                    events.append(.routeRemoved(removed))
                }
                guard let index = routes[key]?.firstIndex(of: route) else { continue }
                switch left.count {
                case 0: routes[key]?.remove(at: index)
                case 1: routes[key]?[index].path = .single(left[0])
                default: routes[key]?[index].path = .multipath(left)
                }
            }
            if routes[key]?.isEmpty ?? false { routes[key] = nil }
        }
    }

    /// The routes stay, and nobody is told (`rt6_remove_prefsrc`).
    mutating func forgetPreferredSource(_ address: IPAddress) {
        for (key, held) in routes where held.contains(where: { $0.preferredSource == address }) {
            routes[key] = held.map { route in
                var route = route
                if route.preferredSource == address { route.preferredSource = nil }
                return route
            }
        }
    }

    /// Whether the main table leads to a gateway by another interface, not counting its default route; then it is not
    /// taken as on the link (`ip6_route_check_nh_onlink`).
    func leadsElsewhere(_ gateway: IPAddress, than interface: Int32) -> Bool {
        let best = routes.values.joined().filter { $0.table == Route.mainTable && $0.destination.contains(gateway) }
            .max { ($0.destination.length, $1.metric ?? 0) < ($1.destination.length, $0.metric ?? 0) }
        guard let best, best.destination.length > 0, ![.blackhole, .unreachable, .prohibit].contains(best.type) else {
            return false
        }
        return !best.uses(interface)
    }
}

extension Route {
    /// Whether more next hops can be added to it (`rt6_qualify_for_ecmp`).
    fileprivate var canShare: Bool { nextHops.contains { $0.gateway != nil } }

    fileprivate var nextHops: [NextHop] {
        switch path {
        case .single(let nextHop): [nextHop]
        case .multipath(let nextHops): nextHops
        case .none, .nexthopObject: []
        }
    }

    /// What tells its next hops from others'.
    fileprivate var ways: [NextHop] { nextHops.map { NextHop(gateway: $0.gateway, interface: $0.interface) } }
}
