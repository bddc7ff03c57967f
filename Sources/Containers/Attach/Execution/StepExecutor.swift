import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// Does the steps of a plan, and undoes them.
struct StepExecutor: Sendable {
    let host: NamespaceNetwork
    /// `nil` for the one this process is in.
    let hostNamespace: NetworkNamespace?
    let openVSwitch: OpenVSwitch
    let dhcp: DHCPSupervisor
    /// The record's name, for files that belong to the attachment.
    let attachment: String

    /// What there is before a step, to be written down before it is done.
    func observe(_ step: AttachmentStep, in container: ResolvedContainer) throws(AttachError) -> StepTrace {
        var trace = StepTrace()
        switch step {
        case .setUp(let name): trace.wasUp = try host.link(name)?.flags.contains(.up) ?? false
        case .move(let name, _): trace = try observe(moving: name)
        case .setDefaultRoute(_, let gateway, _):
            let inside = try NamespaceNetwork("the container", namespace: container.handle.namespace)
            trace.routes = try DefaultRoute.observe(gateway, in: inside)
        case .createPair: trace.hardwareAddress = .madeUp()
        default: break
        }
        return trace
    }

    /// - Parameter performed: gets what only the doing brings.
    func perform(_ performed: inout PerformedStep, in container: ResolvedContainer) async throws(AttachError) {
        let step = performed.step
        let inside = try NamespaceNetwork("the container", namespace: container.handle.namespace)
        switch step {
        case .createBridge(let name, let address):
            try host.apply(
                .createLink(
                    NewLink(name: name, kind: .bridge(BridgeSettings()), hardwareAddress: address, isUp: true)))
        case .createSwitch(let name):
            try await openVSwitch.create(name)
            try? host.change(name) { $0.isUp = true }
        case .createVLAN(let name, let lower, let id, let mtu):
            try host.apply(
                .createLink(
                    NewLink(
                        name: name, kind: .vlan(VLANSettings(id: id)), mtu: mtu, lower: try host.existing(lower).index))
            )
        case .setUp(let name):
            try host.change(name) { $0.isUp = true }
        case .createPair(let name, let interior, let bridge):
            var controller: Int32?
            if let bridge { controller = try host.existing(bridge).index }
            let peer = VethPeer(
                name: interior.name, hardwareAddress: interior.hardwareAddress, mtu: interior.mtu,
                namespace: container.handle.linkNamespace)
            try host.apply(
                .createLink(
                    NewLink(
                        name: name, kind: .veth(peer: peer), mtu: interior.mtu,
                        hardwareAddress: performed.trace.hardwareAddress, isUp: true, controller: controller)))
        case .addPort(let port, let name, let tag):
            try await openVSwitch.add(port, to: name, tag: tag, container: container)
        case .create(let kind, let interior, let lower):
            // A request that fails has made nothing.
            performed.trace.interface = 0
            try create(kind, interior, lower: lower, in: container)
            performed.trace.interface = nil
            performed.trace.interface = try inside.existing(interior.name).index
        case .move(let name, let interior): try move(name, interior, performed.trace, into: container, inside)
        case .addAddress(let name, let address):
            if address.address.isIPv6 {
                // Docker turns IPv6 off in containers of networks without it.
                inside.set("ipv6/conf/\(name)/disable_ipv6", "0")
            }
            try inside.apply(
                .addAddress(
                    Address(
                        interface: try inside.existing(name).index, address: address.address,
                        prefixLength: address.prefixLength, broadcast: address.broadcast)))
        case .setUpInContainer(let name):
            // The kernel then tells the neighbours, whose caches may have the address elsewhere.
            inside.set("ipv4/conf/\(name)/arp_notify", "1")
            inside.set("ipv6/conf/\(name)/ndisc_notify", "1")
            try inside.change(name) { $0.isUp = true }
        case .setDefaultRoute(let name, let gateway, let isOnLink):
            try DefaultRoute.replace(on: name, gateway: gateway, isOnLink: isOnLink, in: inside)
        case .startDHCP(let name, let request, let hostName):
            performed.trace.process = try dhcp.launch(
                request, on: name, hostName: hostName, attachment: attachment, in: container)
        }
    }

    /// Waits for what a step began, once that is written down.
    func wait(_ performed: PerformedStep, in container: ResolvedContainer) async throws(AttachError) {
        guard case .startDHCP(let name, let request, _) = performed.step, let process = performed.trace.process else {
            return
        }
        try await dhcp.waitForAddress(
            on: name, of: process, isIPv6: request.options.contains("-6"), attachment: attachment, in: container)
    }

    private func create(
        _ kind: AttachmentStep.Virtual, _ interior: AttachmentStep.Interior, lower: InterfaceName?,
        in container: ResolvedContainer
    ) throws(AttachError) {
        var index: Int32?
        if let lower { index = try host.existing(lower).index }
        let linkKind: LinkKind =
            switch kind {
            case .macvlan: .macvlan(MACVLANSettings(mode: .bridge))
            case .ipvlan: .ipvlan(IPVLANSettings(mode: .layer2))
            case .dummy: .other(name: "dummy", data: [])
            }
        // Made in the container at once, under its name: there is nothing to clean up between.
        try host.apply(
            .createLink(
                NewLink(
                    name: interior.name, kind: linkKind, mtu: interior.mtu, hardwareAddress: interior.hardwareAddress,
                    lower: index, namespace: container.handle.linkNamespace)))
    }

    private func observe(moving name: InterfaceName) throws(AttachError) -> StepTrace {
        // A VLAN that an earlier step makes is not there yet, and has nothing to lose.
        guard let link = try host.link(name) else { return StepTrace() }
        let names = [link.index: name]
        return StepTrace(
            wasUp: link.flags.contains(.up), hardwareAddress: link.hardwareAddress, mtu: link.mtu,
            addresses: try host.addresses(of: link.index).compactMap { SavedAddress($0) },
            routes: try host.routes(RouteFilter(table: Route.mainTable, interface: link.index))
                .filter { $0.proto != .kernel }.compactMap { SavedRoute($0, names: names) })
    }

    private func move(
        _ name: InterfaceName, _ interior: AttachmentStep.Interior, _ trace: StepTrace,
        into container: ResolvedContainer, _ inside: NamespaceNetwork
    ) throws(AttachError) {
        let link = try host.existing(name)
        // Moved and renamed in one request, so that it is never in the container under another's name.
        try host.apply(
            .changeLink(
                LinkChange(
                    index: link.index, name: interior.name, isUp: false, namespace: container.handle.linkNamespace)))
        guard interior.hardwareAddress != nil || interior.mtu.map({ $0 != link.mtu }) == true else { return }
        try inside.change(interior.name) {
            $0.hardwareAddress = interior.hardwareAddress
            $0.mtu = interior.mtu
        }
    }
}
