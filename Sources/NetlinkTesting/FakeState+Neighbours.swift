import Glibc
import IPNetwork
import Netlink

extension FakeState {
    mutating func replace(_ neighbour: Neighbour) throws(Refusal) {
        let link = try existingLink(neighbour.interface)
        guard !neighbour.address.isIPv6 || link.hasIPv6 else {
            throw Refusal(EINVAL, "IPv6 is disabled on this device")
        }
        guard neighbour.linkLayer != nil || neighbour.state.isDisjoint(with: [.permanent, .reachable]) else {
            throw Refusal(EINVAL, "No link layer address given")
        }
        let key = NeighbourKey(interface: neighbour.interface, address: neighbour.address)
        guard neighbours[key] != neighbour else { return }
        neighbours[key] = neighbour
        events.append(.neighbourChanged(neighbour))
    }

    mutating func delete(_ neighbour: Neighbour) throws(Refusal) {
        _ = try existingLink(neighbour.interface)
        let key = NeighbourKey(interface: neighbour.interface, address: neighbour.address)
        guard let removed = neighbours.removeValue(forKey: key) else { throw Refusal(ENOENT) }
        events.append(.neighbourRemoved(removed))
    }

    mutating func removeNeighbours(where matches: (Neighbour) -> Bool) {
        for (key, neighbour) in neighbours where matches(neighbour) {
            neighbours[key] = nil
            events.append(.neighbourRemoved(neighbour))
        }
    }

    // MARK: Forwarding entries

    mutating func insert(_ entry: ForwardingEntry, appending: Bool) throws(Refusal) {
        let link = try existingLink(entry.interface)
        guard !entry.state.isDisjoint(with: [.permanent, .noARP, .reachable]) else {
            throw Refusal(EINVAL, "RTM_NEWNEIGH with invalid state")
        }
        if entry.isController, link.controller == nil { throw Refusal(EOPNOTSUPP) }
        let key = ForwardingKey(interface: entry.interface, mac: entry.mac, vlan: entry.vlan)
        guard let held = forwardingEntries[key] else {
            forwardingEntries[key] = [entry]
            events.append(.forwardingEntryChanged(entry))
            return
        }
        // vxlan_fdb_update_existing: several destinations are for group and default entries only.
        let isGroup = entry.mac.isMulticast || entry.mac.isZero
        if appending {
            guard isGroup, !held.contains(where: { $0.destination == entry.destination }) else { return }
            forwardingEntries[key] = held + [entry]
        } else {
            if isGroup, case .vxlan = link.kind {
                throw Refusal(EOPNOTSUPP, "Cannot replace an entry with multiple remotes")
            }
            guard held != [entry] else { return }
            forwardingEntries[key] = [entry]
        }
        events.append(.forwardingEntryChanged(entry))
    }

    mutating func delete(_ entry: ForwardingEntry) throws(Refusal) {
        _ = try existingLink(entry.interface)
        let key = ForwardingKey(interface: entry.interface, mac: entry.mac, vlan: entry.vlan)
        let held = forwardingEntries[key] ?? []
        let removed = held.filter { entry.destination == nil || $0.destination == entry.destination }
        guard !removed.isEmpty else { throw Refusal(ENOENT) }
        let left = held.filter { !removed.contains($0) }
        forwardingEntries[key] = left.isEmpty ? nil : left
        for entry in removed { events.append(.forwardingEntryRemoved(entry)) }
    }

    mutating func removeForwardingEntries(where matches: (ForwardingEntry) -> Bool) {
        for (key, held) in forwardingEntries where held.contains(where: matches) {
            let left = held.filter { !matches($0) }
            forwardingEntries[key] = left.isEmpty ? nil : left
            for entry in held where matches(entry) { events.append(.forwardingEntryRemoved(entry)) }
        }
    }

    // MARK: Nexthop objects

    mutating func replace(_ new: NexthopObject) throws(Refusal) {
        var nexthop = new
        nexthop.state = []
        guard nexthop.id != 0 else { throw Refusal(EINVAL, "Nexthop id required") }
        if !nexthop.group.isEmpty {
            guard nexthop.group.allSatisfy({ nexthops[$0.id] != nil }) else {
                throw Refusal(EINVAL, "Invalid nexthop id")
            }
        } else if !nexthop.blackhole, !nexthop.forwardingDatabase {
            let way = NextHop(gateway: nexthop.gateway, interface: nexthop.interface, onlink: nexthop.onlink)
            let checked = try self.checked(way, family: nexthop.family ?? .v4)
            nexthop.interface = checked.interface
            nexthop.scope = nexthop.gateway == nil ? .link : .universe
        }
        guard nexthops[nexthop.id] != nexthop else { return }
        nexthops[nexthop.id] = nexthop
        events.append(.nexthopChanged(nexthop))
    }

    mutating func deleteNexthop(_ id: UInt32) throws(Refusal) {
        guard nexthops[id] != nil else { throw Refusal(ENOENT) }
        removeNexthop(id)
    }

    /// With the routes that use it; a group loses the member, and goes with its last one.
    mutating func removeNexthop(_ id: UInt32) {
        guard let nexthop = nexthops.removeValue(forKey: id) else { return }
        removeRoutes { if case .nexthopObject(let used, _) = $0.path { used == id } else { false } }
        events.append(.nexthopRemoved(nexthop))
        for group in nexthops.values where group.group.contains(where: { $0.id == id }) {
            nexthops[group.id]?.group.removeAll { $0.id == id }
            if nexthops[group.id]?.group.isEmpty ?? false { removeNexthop(group.id) }
        }
    }
}
