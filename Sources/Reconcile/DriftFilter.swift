import IPNetwork
import KernelState
import LinuxSystem
import Netlink

/// Tells the notifications that matter from those that only echo Weft's own requests or speak of others' objects.
///
/// A notification that agrees with what is believed and wanted is an echo. One that doesn't means that somebody else
/// changed what is Weft's; the remedy is always to read the kernel again, so nothing more is concluded from it.
struct DriftFilter {
    let policy: OwnershipPolicy

    /// Takes in what `event` says of interfaces.
    ///
    /// - Returns: whether the kernel has to be read again.
    func concerns(_ event: NetlinkEvent, _ state: TrackedState, _ table: inout InterfaceTable) -> Bool {
        switch event {
        case .resync:
            return true
        case .linkChanged(let link):
            let former = table.names[link.index]
            let moved = table.note(link)
            if let former, former != link.name, isOurs(former, state) { return true }
            guard let wanted = state.links.desired(link.name) else { return moved && isOurs(link.name, state) }
            return KernelReader.value(of: link, table) != wanted
        case .linkRemoved(let link):
            table.remove(link)
            return state.links.isHeldAndWanted(link.name)
        case .addressChanged(let address):
            guard let name = table.names[address.interface] else { return false }
            // With an address the kernel drops and refuses routes on its interface, and says nothing of them.
            guard policy.interfaces.contains(name) else { return state.routeInterfaces.contains(name) }
            return KernelReader.isManaged(address)
                && state.addresses.desired(KernelReader.key(of: address, on: name)) == nil
        case .addressRemoved(let address):
            guard let name = table.names[address.interface] else { return false }
            guard policy.interfaces.contains(name) else { return state.routeInterfaces.contains(name) }
            return state.addresses.isHeldAndWanted(KernelReader.key(of: address, on: name))
        case .routeChanged(let route):
            return concerns(changed: route, state, table)
        case .routeRemoved(let route):
            guard let key = KernelReader.key(of: route) else { return false }
            if route.type == .blackhole, state.blackholes.isHeldAndWanted(key) { return true }
            return state.conflicts[key] != nil || state.routes.isHeldAndWanted(key)
        case .neighbourChanged(let neighbour):
            guard let name = table.names[neighbour.interface], policy.interfaces.contains(name) else { return false }
            let isPermanent = neighbour.state.contains(.permanent)
            let key = NeighbourKey(interface: name, address: neighbour.address)
            guard let wanted = state.neighbours.desired(key) else {
                return isPermanent && !state.departed.contains(.neighbour(key))
            }
            return !isPermanent || wanted != neighbour.linkLayer
        case .neighbourRemoved(let neighbour):
            guard let name = table.names[neighbour.interface] else { return false }
            return state.neighbours.isHeldAndWanted(NeighbourKey(interface: name, address: neighbour.address))
        case .forwardingEntryChanged(let entry):
            guard entry.isSelf, let name = table.names[entry.interface], policy.interfaces.contains(name) else {
                return false
            }
            let key = FDBKey(interface: name, mac: entry.mac)
            guard let wanted = state.fdb.desired(key) else {
                return entry.state.contains(.permanent) && !state.departed.contains(.fdb(key))
            }
            return wanted != entry.destination || !KernelReader.isPlain(entry)
        case .forwardingEntryRemoved(let entry):
            guard entry.isSelf, let name = table.names[entry.interface] else { return false }
            return state.fdb.isHeldAndWanted(FDBKey(interface: name, mac: entry.mac))
        case .nexthopRemoved(let object):
            return state.nexthops.values.contains(object.id) && object.proto == OwnershipPolicy.routeProtocol
                && state.routes.desiredValues.contains { $0.spec.gateway == object.gateway }
        case .nexthopChanged, .ruleChanged, .ruleRemoved:
            return false
        }
    }

    private func concerns(changed route: Route, _ state: TrackedState, _ table: InterfaceTable) -> Bool {
        guard let key = KernelReader.key(of: route) else { return false }
        if let blackhole = KernelReader.ownBlackhole(route, policy, state) {
            return state.blackholes.desired(key) != blackhole && !state.departed.contains(.blackhole(key))
        }
        let name = KernelReader.interface(of: route, table)
        guard let wanted = state.routes.desired(key) else {
            // Ours without being wanted: somebody put it on an interface of ours.
            return policy.ownership(of: route, on: name, isWanted: state.needs(key)) == .ours
                && !state.departed.contains(.route(key))
        }
        // Without compat mode the kernel names the object alone.
        if case .nexthopObject(let id, nil) = route.path, let gateway = wanted.spec.gateway {
            return state.nexthops[NexthopKey(gateway: gateway, interface: wanted.spec.interface)] != id
        }
        return KernelReader.value(of: route, on: name) != wanted
    }

    /// An interface of ours, one of ours stands on it, or routes of ours lead through it.
    private func isOurs(_ name: InterfaceName, _ state: TrackedState) -> Bool {
        if policy.interfaces.contains(name) || state.routeInterfaces.contains(name) { return true }
        for case .known(let spec, _) in state.links.desiredValues where spec.kind.lower == name { return true }
        return false
    }
}
