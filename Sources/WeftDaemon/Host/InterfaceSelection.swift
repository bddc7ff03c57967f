import IPNetwork
import Netlink

/// Which interfaces the configuration names, in the order in which they are tried.
struct InterfaceSelection {
    let configuration: DaemonConfiguration
    let inventory: HostInventory
    let families: WantedFamilies?

    struct Candidate {
        var link: Link
        /// The address to use; `nil` leaves the choice among the interface's.
        var address: Address?
        /// Whether the operator chose the interface by `address`.
        var isByAddress = false
        var reason: String
    }

    /// Each with what it was found by; an interface may come several times.
    var candidates: [Candidate] {
        var found = configuration.interfaces.compactMap(named)
        found += configuration.interfaceExpressions.flatMap(matching)
        if let address = configuration.interfaceReaching, let candidate = reaching(address) { found.append(candidate) }
        guard !isNamed else { return found }
        return publiclyAddressed + byDefaultRoute
    }

    private var isNamed: Bool {
        !configuration.interfaces.isEmpty || !configuration.interfaceExpressions.isEmpty
            || configuration.interfaceReaching != nil
    }

    /// By address or by name.
    private func named(_ wanted: String) -> Candidate? {
        let reason = "--iface=\(wanted)"
        if let address = IPAddress(wanted) { return holding(address, reason) }
        return inventory.links.first { $0.name.text == wanted }.map { Candidate(link: $0, reason: reason) }
    }

    private func holding(_ address: IPAddress, _ reason: String) -> Candidate? {
        for held in inventory.addresses where held.address == address {
            guard let link = inventory.link(held.interface) else { continue }
            return Candidate(link: link, address: held, isByAddress: true, reason: reason)
        }
        return nil
    }

    /// By an address that the expression matches, else by name; as in flannel every interface's addresses come before
    /// the first name.
    private func matching(_ expression: InterfaceExpression) -> [Candidate] {
        let reason = "--iface-regex=\(expression)"
        let byAddress = inventory.links.flatMap { link in
            inventory.usableAddresses(of: link).filter { expression.matches("\($0.address)") }.map {
                Candidate(link: link, address: $0, isByAddress: true, reason: reason)
            }
        }
        let byName = inventory.links.filter { expression.matches($0.name.text) }
        return byAddress + byName.map { Candidate(link: $0, reason: reason) }
    }

    private func reaching(_ address: IPAddress) -> Candidate? {
        let reason = "--iface-can-reach=\(address)"
        guard let route = inventory.routeToReach else { return nil }
        // The route to an address of this host leads to lo, whoever holds it.
        if route.type == .local { return holding(address, reason) }
        guard let index = Self.interface(of: route), let link = inventory.link(index) else { return nil }
        // Sent from an address that will go (RFC 8981) it is no good.
        let source = inventory.usableAddresses(of: link).first { $0.address == route.preferredSource }
        return Candidate(link: link, address: source, reason: reason)
    }

    private var publiclyAddressed: [Candidate] {
        var candidates: [Candidate] = []
        if let address = configuration.publicIP, let found = holding(.v4(address), "it has --public-ip=\(address)") {
            candidates.append(found)
        }
        if let address = configuration.publicIPv6, families?.ipv4 != true,
            let found = holding(.v6(address), "it has --public-ipv6=\(address)")
        {
            candidates.append(found)
        }
        return candidates
    }

    /// The best first. IPv4's come first unless the overlay has none.
    private var byDefaultRoute: [Candidate] {
        let firstFamily = families?.ipv4 == false
        return inventory.defaultRoutes
            .sorted { left, right in
                (left.destination.isIPv6 == firstFamily ? 0 : 1, left.metric ?? 0)
                    < (right.destination.isIPv6 == firstFamily ? 0 : 1, right.metric ?? 0)
            }
            .compactMap { Self.interface(of: $0).flatMap(inventory.link) }
            .map { Candidate(link: $0, reason: "it has the default route") }
    }

    private static func interface(of route: Route) -> Int32? {
        if case .multipath(let hops) = route.path { return hops.first?.interface }
        return route.path.nextHop?.interface
    }

    /// What to say when there is no candidate.
    var nothingMatches: InterfaceError {
        guard isNamed else {
            return InterfaceError("there is no default route to tell the interface from; name it with --iface")
        }
        var wanted = configuration.interfaces + configuration.interfaceExpressions.map(\.description)
        if let address = configuration.interfaceReaching { wanted.append("the route to \(address)") }
        let names = inventory.links.map(\.name.text).joined(separator: ", ")
        let hint =
            configuration.interfaces.contains { $0.contains(",") } ? "; give --iface once for each interface" : ""
        return InterfaceError("no interface matches \(wanted.joined(separator: ", ")); there are: \(names)\(hint)")
    }
}
