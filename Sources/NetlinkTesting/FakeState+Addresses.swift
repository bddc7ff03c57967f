import Glibc
import IPNetwork
import Netlink

extension FakeState {
    mutating func add(_ new: Address, replacing: Bool) throws(Refusal) {
        let link = try existingLink(new.interface)
        guard new.prefix != nil else { throw Refusal(EINVAL) }
        var address = new
        if address.validLifetime == nil { address.flags.insert(.permanent) }
        if address.address.isIPv6 {
            guard link.hasIPv6 else { throw Refusal(EINVAL) }
            if !address.flags.contains(.noDuplicateDetection) { address.flags.insert(.tentative) }
        }
        if !address.address.isIPv6, address.label == nil { address.label = link.name.text }
        let held = addresses.firstIndex {
            $0.interface == new.interface && $0.address == new.address
                && (new.address.isIPv6 || $0.prefixLength == new.prefixLength)
        }
        if let held {
            guard replacing else { throw Refusal(EEXIST, "Address already assigned") }
            addresses[held] = address
            events.append(.addressChanged(address))
            return
        }
        addresses.append(address)
        if !address.flags.contains(.tentative) { bringIntoUse(address) }
        if link.flags.contains(.up) { addPrefixRoute(of: address) }
    }

    /// Tells of the address and adds its local route. For an IPv6 address that is when no duplicate was found.
    private mutating func bringIntoUse(_ address: Address) {
        events.append(.addressChanged(address))
        put(
            Route(
                destination: address.address.hostPrefix, table: Route.localTable, proto: .kernel, type: .local,
                metric: address.address.isIPv6 ? 0 : nil,
                preferredSource: address.address.isIPv6 ? nil : address.address,
                path: .single(NextHop(interface: address.interface))))
    }

    /// Ends duplicate address detection on interfaces that are up.
    mutating func finishDuplicateDetection(_ isDuplicate: (Address) -> Bool) {
        for index in addresses.indices where addresses[index].flags.contains(.tentative) {
            guard links[addresses[index].interface]?.flags.contains(.up) ?? false else { continue }
            if isDuplicate(addresses[index]) {
                addresses[index].flags.insert(.duplicate)
                events.append(.addressChanged(addresses[index]))
            } else {
                addresses[index].flags.remove(.tentative)
                bringIntoUse(addresses[index])
            }
        }
    }

    /// Whether packets may come from the address and go to it.
    func holdsForUse(_ address: IPAddress) -> Bool {
        addresses.contains { $0.address == address && !$0.flags.contains(.tentative) }
    }

    /// IPv6 begins on an interface when it is set up or gets an MTU of 1280: with a link-local address.
    mutating func beginIPv6(_ index: Int32) {
        guard let link = links[index], link.hasIPv6, link.flags.contains(.up), !link.flags.contains(.loopback) else {
            return
        }
        guard link.addressGeneration == .eui64, let mac = link.hardwareAddress else { return }
        try? add(
            Address(interface: index, address: .v6(mac.linkLocal), prefixLength: 64, scope: .link), replacing: false)
    }

    /// What goes with IPv6: its addresses, routes and neighbours on the interface.
    mutating func endIPv6(_ index: Int32) {
        removeIPv6Routes(through: index)
        removeNeighbours { $0.interface == index && $0.address.isIPv6 }
        for address in addresses where address.interface == index && address.address.isIPv6 {
            events.append(.addressRemoved(address))
        }
        addresses.removeAll { $0.interface == index && $0.address.isIPv6 }
    }

    /// The routes that an address brings to an interface that is up.
    mutating func addPrefixRoute(of address: Address) {
        guard let prefix = address.prefix else { return }
        let path = RoutePath.single(NextHop(interface: address.interface))
        // IPv6 makes a route for a single address too.
        let isWhole = !prefix.isIPv6 && prefix.length == prefix.family.bitWidth && address.peer == nil
        if !address.flags.contains(.noPrefixRoute), !isWhole {
            put(
                Route(
                    destination: prefix, proto: .kernel, metric: address.routeMetric ?? (prefix.isIPv6 ? 256 : nil),
                    preferredSource: prefix.isIPv6 ? nil : address.address, path: path))
        }
        if case .v4(let block) = prefix, block.length < 31 {
            put(
                Route(
                    destination: .v4(IPv4Prefix(host: block.lastAddress)), table: Route.localTable, proto: .kernel,
                    type: .broadcast, preferredSource: address.address, path: path))
        }
    }

    /// A route that the kernel makes for itself.
    private mutating func put(_ route: Route) {
        let key = RouteKey(route)
        let held = routes[key] ?? []
        // IPv6 has one for each interface.
        guard held.isEmpty || key.destination.isIPv6 && !held.contains(where: { $0.path == route.path }) else { return }
        routes[key] = held + [route]
        events.append(.routeChanged(route))
    }

    mutating func delete(_ address: Address) throws(Refusal) {
        _ = try existingLink(address.interface)
        let index = addresses.firstIndex {
            $0.interface == address.interface && $0.address == address.address
                && $0.prefixLength == address.prefixLength
        }
        guard let index else { throw Refusal(EADDRNOTAVAIL, "Address not found") }
        let removed = addresses.remove(at: index)
        let last = removed.prefix.flatMap { prefix -> IPAddress? in
            if case .v4(let block) = prefix, block.length < 31 { .v4(block.lastAddress) } else { nil }
        }
        let isShared = addresses.contains { $0.interface == removed.interface && $0.prefix == removed.prefix }
        if removed.address.isIPv6 { forgetPreferredSource(removed.address) }
        removeRoutes { route in
            if route.preferredSource == removed.address { return true }
            guard route.proto == .kernel, route.uses(removed.interface) else { return false }
            if route.type == .local { return route.destination == removed.address.hostPrefix }
            return !isShared
                && (route.destination == removed.prefix || last.map { route.destination == $0.hostPrefix } ?? false)
        }
        events.append(.addressRemoved(removed))
    }
}

extension Link {
    /// IPv6 has no place where a packet of 1280 bytes has none (RFC 8200): Linux ends it on such an interface.
    var hasIPv6: Bool { mtu >= 1280 }
}

extension MACAddress {
    /// fe80::/64 with the modified EUI-64 (RFC 4291, appendix A).
    fileprivate var linkLocal: IPv6Address {
        let high = UInt128(rawValue >> 24) ^ 0x02_0000
        return IPv6Address(rawValue: 0xfe80 << 112 | high << 40 | 0xfffe << 24 | UInt128(rawValue & 0xff_ffff))
    }
}
