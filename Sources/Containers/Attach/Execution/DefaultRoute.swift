import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// The container's default route, replaced and put back.
enum DefaultRoute {
    /// The routes that have to go.
    ///
    /// - Throws: ``AttachError`` when there is one that cannot be put back.
    static func observe(_ gateway: IPAddress, in inside: NamespaceNetwork) throws(AttachError) -> [SavedRoute] {
        let names = Dictionary(try inside.links().map { ($0.index, $0.name) }) { first, _ in first }
        var saved: [SavedRoute] = []
        for route in try current(of: gateway, in: inside) {
            guard let entry = SavedRoute(route, names: names) else {
                throw AttachError(
                    "the container has a default route with several next hops, which could not be put back later",
                    remedy: "leave the gateway out, or take that route away first")
            }
            saved.append(entry)
        }
        return saved
    }

    /// A failure half way is undone by ``restore(_:on:gateway:isOnLink:in:)``.
    static func replace(
        on name: InterfaceName, gateway: IPAddress, isOnLink: Bool, in inside: NamespaceNetwork
    ) throws(AttachError) {
        let index = try inside.existing(name).index
        for route in try current(of: gateway, in: inside) {
            try inside.apply(.deleteRoute(route), tolerating: [ESRCH])
        }
        if !isOnLink { try inside.apply(.replaceRoute(host(gateway, index))) }
        try inside.apply(.addRoute(route(gateway, index)))
    }

    /// Takes our routes away and puts those back that were there.
    static func restore(
        _ saved: [SavedRoute], on name: InterfaceName, gateway: IPAddress, isOnLink: Bool, in inside: NamespaceNetwork
    ) throws(AttachError) {
        let names = Dictionary(try inside.links().map { ($0.index, $0.name) }) { first, _ in first }
        if let index = names.first(where: { $0.value == name })?.key {
            try inside.apply(.deleteRoute(route(gateway, index)), tolerating: [ESRCH, ENODEV])
            if !isOnLink { try inside.apply(.deleteRoute(host(gateway, index)), tolerating: [ESRCH, ENODEV]) }
        }
        for entry in saved.inOrderOfNeed {
            guard let route = entry.route(names: names) else { continue }
            try inside.apply(.addRoute(route), tolerating: [EEXIST])
        }
    }

    /// Those that would be taken before ours, or beside it.
    private static func current(of gateway: IPAddress, in inside: NamespaceNetwork) throws(AttachError) -> [Route] {
        let isIPv6 = gateway.isIPv6
        return try inside.routes(RouteFilter(family: isIPv6 ? .v6 : .v4, table: Route.mainTable, type: .unicast))
            .filter { $0.destination.length == 0 && $0.tos == 0 && ($0.metric ?? 0) <= (isIPv6 ? 1024 : 0) }
    }

    private static func route(_ gateway: IPAddress, _ index: Int32) -> Route {
        Route(
            destination: gateway.isIPv6 ? .v6(.all) : .v4(.all),
            path: .single(NextHop(gateway: gateway, interface: index)))
    }

    private static func host(_ gateway: IPAddress, _ index: Int32) -> Route {
        let destination: IPPrefix =
            switch gateway {
            case .v4(let address): .v4(IPv4Prefix(host: address))
            case .v6(let address): .v6(IPv6Prefix(host: address))
            }
        return Route(destination: destination, path: .single(NextHop(interface: index)))
    }
}
