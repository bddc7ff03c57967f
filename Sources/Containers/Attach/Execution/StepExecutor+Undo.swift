import Glibc
import IPNetwork
import LinuxSystem
import Netlink

extension StepExecutor {
    /// Undoes a step; what is gone already is no error. Interfaces that several attachments share are left to
    /// ``SharedInterfaces``.
    ///
    /// - Parameters:
    ///   - container: `nil` when it has ended.
    ///   - isRollback: the attachment never came to be, so that nothing can rely on what it did to the host.
    func undo(
        _ performed: PerformedStep, in container: ResolvedContainer?, isRollback: Bool = false
    ) async throws(AttachError) {
        let trace = performed.trace
        var inside: NamespaceNetwork?
        if let container { inside = try NamespaceNetwork("the container", namespace: container.handle.namespace) }
        switch performed.step {
        case .setUp(let name):
            guard isRollback, !trace.wasUp, let link = try host.link(name) else { break }
            try host.apply(.changeLink(LinkChange(index: link.index, isUp: false)), tolerating: [ENODEV])
        case .createBridge, .createSwitch, .createVLAN, .addAddress, .setUpInContainer: break
        case .createPair(let name, _, _):
            // The other end goes with it. Another's of that name has another address.
            guard let link = try host.link(name), link.kind?.name == "veth",
                trace.hardwareAddress == nil || link.hardwareAddress == trace.hardwareAddress
            else { break }
            try host.apply(.deleteLink(index: link.index), tolerating: [ENODEV])
        case .addPort(let port, let name, _): try await openVSwitch.remove(port, from: name)
        case .create(let kind, let interior, _):
            // Without a number the command was killed while it made the interface.
            guard let inside, let link = try inside.link(interior.name), link.kind?.name == kind.rawValue,
                trace.interface == nil || trace.interface == link.index
            else { break }
            try inside.apply(.deleteLink(index: link.index), tolerating: [ENODEV])
        case .move(let name, let interior):
            if let inside {
                try moveBack(name, interior, trace, from: inside)
            } else {
                try restore(name, interior, trace)
            }
        case .setDefaultRoute(let name, let gateway, let isOnLink):
            guard let inside else { break }
            try DefaultRoute.restore(trace.routes, on: name, gateway: gateway, isOnLink: isOnLink, in: inside)
        case .startDHCP(let name, _, _):
            try await dhcp.stop(trace.process, attachment: attachment)
            guard let inside, let index = try inside.link(name)?.index else { break }
            for address in try inside.addresses(of: index) where address.scope == .universe {
                try inside.apply(.deleteAddress(address), tolerating: [EADDRNOTAVAIL, ENODEV])
            }
        }
    }

    /// Undoes every step, last first, and goes on past one that fails.
    ///
    /// - Returns: what could not be undone.
    func undo(
        _ performed: [PerformedStep], in container: ResolvedContainer?, isRollback: Bool = false
    ) async -> [AttachError] {
        var failures: [AttachError] = []
        for step in performed.reversed() {
            do {
                try await undo(step, in: container, isRollback: isRollback)
            } catch {
                failures.append(error)
            }
        }
        return failures
    }

    /// From the container to the host, under its old name and with what it had.
    func moveBack(
        _ name: InterfaceName, _ interior: AttachmentStep.Interior, _ trace: StepTrace, from inside: NamespaceNetwork
    ) throws(AttachError) {
        guard let link = try inside.link(interior.name) else { return try restore(name, interior, trace) }
        let descriptor: OwnedDescriptor
        do {
            descriptor = try OwnedDescriptor(path: hostNamespace?.path ?? "/proc/self/ns/net", flags: O_RDONLY)
        } catch {
            throw AttachError("\(error)")
        }
        try inside.apply(
            .changeLink(
                LinkChange(
                    index: link.index, name: name, isUp: false, namespace: .descriptor(descriptor.rawValue))))
        try restore(name, interior, trace)
    }

    /// The interface is on the host again, the container's end having brought it there under the container's name, or under
    /// one that the kernel made up.
    private func restore(
        _ name: InterfaceName, _ interior: AttachmentStep.Interior, _ trace: StepTrace
    ) throws(AttachError) {
        let links = try host.links()
        let address = interior.hardwareAddress ?? trace.hardwareAddress
        // A VLAN or macvlan does not come back from a container that ended; another with its address is not it.
        guard
            let link = links.first(where: { $0.name == name })
                ?? links.first(where: { $0.kind == nil && $0.hardwareAddress == address && address != nil })
        else { return }
        if link.name != name { try host.apply(.changeLink(LinkChange(index: link.index, name: name, isUp: false))) }
        try host.apply(
            .changeLink(
                LinkChange(index: link.index, mtu: trace.mtu, hardwareAddress: trace.hardwareAddress)))
        guard trace.wasUp else { return }
        try host.apply(.changeLink(LinkChange(index: link.index, isUp: true)))
        for saved in trace.addresses {
            try host.apply(.addAddress(saved.address(on: link.index)), tolerating: [EEXIST])
        }
        let names = [link.index: name]
        for saved in trace.routes.inOrderOfNeed {
            guard let route = saved.route(names: names) else { continue }
            try host.apply(.addRoute(route), tolerating: [EEXIST])
        }
    }
}
