import Glibc
import IPNetwork
import LinuxSystem
import Netlink

extension FakeState {
    mutating func create(_ new: NewLink) throws(Refusal) {
        guard !links.values.contains(where: { $0.name == new.name }) else { throw Refusal(EEXIST) }
        if let address = new.hardwareAddress, !address.isValidUnicast {
            throw Refusal(EADDRNOTAVAIL, "Invalid hardware address")
        }
        if let controller = new.controller { _ = try existingLink(controller) }
        var mtu: UInt32 = 1500
        switch new.kind {
        case .tun: throw Refusal(EOPNOTSUPP)
        case .vxlan(let settings): mtu = try usualMTU(of: settings)
        case .vlan, .macvlan, .ipvlan:
            guard let lower = new.lower else { throw Refusal(EINVAL) }
            mtu = try existingLink(lower).mtu
        case .ipip(let settings), .ip6tnl(let settings): mtu = try usualMTU(of: settings, new.kind)
        case .veth, .bridge, .other: break
        }
        let index = nextIndex
        nextIndex += 1
        var link = Link(
            index: index, name: new.name, flags: [.broadcast, .multicast], mtu: new.mtu ?? mtu,
            hardwareAddress: new.hardwareAddress ?? Self.madeUpAddress(index), controller: new.controller,
            lower: new.lower, operationalState: .down, kind: new.kind, addressGeneration: .eui64)
        if case .veth(let peer) = new.kind {
            link.kind = .veth(peer: nil)
            link.lower = makePeer(peer ?? VethPeer(), of: index)
        }
        if new.kind.isIPTunnel {
            link.hardwareAddress = nil
            link.flags = []
        }
        links[index] = link
        if new.isUp { setUp(index) }
        report(index)
    }

    private static func madeUpAddress(_ index: Int32) -> MACAddress {
        MACAddress(rawValue: 0x0200_0000_0000 | UInt64(truncatingIfNeeded: index))
    }

    /// The lower interface's less the outer headers, as vxlan_config_apply has it.
    private func usualMTU(of settings: VXLANSettings) throws(Refusal) -> UInt32 {
        guard settings.vni < 1 << 24 else { throw Refusal(ERANGE, "VXLAN ID must be lower than 16777216") }
        for link in links.values {
            if case .vxlan(let other) = link.kind, other.vni == settings.vni, other.port == settings.port,
                (other.local?.isIPv6 ?? false) == (settings.local?.isIPv6 ?? false)
            {
                throw Refusal(EEXIST, "A VXLAN device with the specified VNI already exists")
            }
        }
        guard let lower = settings.lower else { return 1500 }
        guard let link = links[lower] else {
            throw Refusal(ENODEV, "Specified interface for tunnel endpoint communications not found")
        }
        return link.mtu - min(link.mtu, settings.local?.isIPv6 ?? false ? 70 : 50)
    }

    private mutating func makePeer(_ peer: VethPeer, of other: Int32) -> Int32? {
        // In another namespace it is out of sight.
        guard peer.namespace == nil else { return nil }
        let index = nextIndex
        nextIndex += 1
        guard let name = peer.name ?? InterfaceName("veth\(index)") else { return nil }
        links[index] = Link(
            index: index, name: name, flags: [.broadcast, .multicast], mtu: peer.mtu ?? 1500,
            hardwareAddress: peer.hardwareAddress ?? Self.madeUpAddress(index), lower: other, operationalState: .down,
            kind: .veth(peer: nil), addressGeneration: .eui64)
        report(index)
        return index
    }

    mutating func change(_ change: LinkChange) throws(Refusal) {
        var link = try existingLink(change.index)
        if let name = change.name, name != link.name {
            guard !links.values.contains(where: { $0.name == name }) else { throw Refusal(EEXIST) }
            link.name = name
        }
        if let kind = change.kind { link.kind = try Self.changed(link.kind, to: kind) }
        if let mtu = change.mtu {
            guard (68...65536).contains(mtu) else { throw Refusal(EINVAL, "mtu out of range") }
            link.mtu = mtu
        }
        if let controller = change.controller {
            if controller != 0 { _ = try existingLink(controller) }
            link.controller = controller == 0 ? nil : controller
        }
        if let generation = change.addressGeneration { link.addressGeneration = generation }
        let hadIPv6 = links[change.index]?.hasIPv6 ?? false
        var hasNewAddress = false
        if let address = change.hardwareAddress, address != link.hardwareAddress {
            guard address.isValidUnicast else { throw Refusal(EADDRNOTAVAIL) }
            link.hardwareAddress = address
            hasNewAddress = true
        }
        links[change.index] = link
        // neigh_changeaddr: permanent entries go too.
        if hasNewAddress { removeNeighbours { $0.interface == change.index } }
        if hadIPv6, !link.hasIPv6 { endIPv6(change.index) }
        if !hadIPv6, link.hasIPv6 { beginIPv6(change.index) }
        if let isUp = change.isUp, isUp != link.flags.contains(.up) {
            if isUp { setUp(change.index) } else { setDown(change.index) }
        }
        report(change.index)
    }

    /// The kind after a change, as vxlan_nl2conf allows it.
    private static func changed(_ old: LinkKind?, to new: LinkKind) throws(Refusal) -> LinkKind {
        guard old?.name == new.name else { throw Refusal(EOPNOTSUPP) }
        guard case .vxlan(let before) = old, case .vxlan(var after) = new else { return new }
        guard after.vni == before.vni else { throw Refusal(EOPNOTSUPP, "Cannot change VNI") }
        guard after.port == 0 else { throw Refusal(EOPNOTSUPP, "Cannot change port number") }
        guard !after.gbp else { throw Refusal(EOPNOTSUPP, "Cannot change GBP flag") }
        after.port = before.port
        after.gbp = before.gbp
        after.local = after.local ?? before.local
        after.lower = after.lower ?? before.lower
        after.group = after.group ?? before.group
        after.ttl = after.ttl ?? before.ttl
        after.tos = after.tos ?? before.tos
        guard before.local == nil || before.local?.family == after.local?.family else {
            throw Refusal(EOPNOTSUPP, "New local address family does not match old")
        }
        return .vxlan(after)
    }

    private mutating func setUp(_ index: Int32) {
        links[index]?.flags.formUnion([.up, .running, .lowerUp])
        links[index]?.operationalState = .unknown
        for address in addresses where address.interface == index { addPrefixRoute(of: address) }
        beginIPv6(index)
    }

    private mutating func setDown(_ index: Int32) {
        links[index]?.flags.subtract([.up, .running, .lowerUp])
        links[index]?.operationalState = .down
        removeWhatNeedsLink(index) { route in route.type != .local }
        removeForwardingEntries { $0.interface == index && !$0.state.contains(.permanent) }
        endIPv6(index)
    }

    /// Routes (those that `isLost` picks), neighbours and nexthop objects.
    private mutating func removeWhatNeedsLink(_ index: Int32, _ isLost: (Route) -> Bool) {
        for nexthop in nexthops.values where nexthop.interface == index { removeNexthop(nexthop.id) }
        // Linux flushes IPv4 routes of an interface without a word.
        removeRoutes(silentlyForIPv4: true) { !$0.destination.isIPv6 && $0.uses(index) && isLost($0) }
        removeIPv6Routes(through: index)
        removeNeighbours { $0.interface == index }
    }

    mutating func deleteLink(_ index: Int32) throws(Refusal) {
        let link = try existingLink(index)
        guard index != Self.loopback else { throw Refusal(EOPNOTSUPP) }
        remove(link)
        if case .veth = link.kind, let peer = link.lower.flatMap({ links[$0] }) { remove(peer) }
    }

    private mutating func remove(_ link: Link) {
        guard links[link.index] != nil else { return }
        removeWhatNeedsLink(link.index) { _ in true }
        removeForwardingEntries { $0.interface == link.index }
        for address in addresses where address.interface == link.index { events.append(.addressRemoved(address)) }
        addresses.removeAll { $0.interface == link.index }
        links[link.index] = nil
        events.append(.linkRemoved(link))
        for other in links.values {
            // A VXLAN goes with its lower interface, a port loses its bridge.
            if case .vxlan(let settings) = other.kind, settings.lower == link.index { remove(other) }
            if other.controller == link.index { links[other.index]?.controller = nil }
        }
    }

    private mutating func report(_ index: Int32) {
        if let link = links[index] { events.append(.linkChanged(link)) }
    }
}

extension Route {
    /// Whether packets can leave by the interface.
    func uses(_ interface: Int32) -> Bool {
        switch path {
        case .none, .nexthopObject: false
        case .single(let nextHop): nextHop.interface == interface
        case .multipath(let nextHops): nextHops.contains { $0.interface == interface }
        }
    }
}
