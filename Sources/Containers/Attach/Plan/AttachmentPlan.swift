import IPNetwork
import LinuxSystem

/// What is to be done for a request on this host and this container, in order. Pure: nothing is read or changed here.
public struct AttachmentPlan: Hashable, Sendable {
    /// How the container is connected.
    public var kind: AttachmentRequest.Kind
    /// The parent's name.
    public var parent: InterfaceName?
    /// In order; each can be undone.
    public var steps: [AttachmentStep]
    /// Interfaces of the host that are there for several attachments: a bridge, a switch, a VLAN.
    public var shared: [InterfaceName]

    /// - Parameter bridgeAddress: the MAC of a bridge that has to be made.
    /// - Throws: ``AttachError`` for what this host or container does not allow.
    public init(
        _ request: AttachmentRequest, host: HostSnapshot, container: ContainerSnapshot, bridgeAddress: MACAddress
    ) throws(AttachError) {
        let parent = try Self.parent(of: request, host: host)
        let existing = parent.flatMap { host.interface($0) }
        kind = try Self.kind(of: request, parent: parent, existing: existing, host: host)
        self.parent = parent
        steps = []
        shared = []
        guard !container.interfaces.contains(request.name) else {
            throw AttachError(
                "the container has an interface \(request.name) already",
                remedy: "choose another name with -i, or detach that one")
        }
        try check(request, existing: existing)
        var interior = AttachmentStep.Interior(
            name: request.name, mtu: request.mtu ?? existing?.mtu, hardwareAddress: request.hardwareAddress)
        switch kind {
        case .dummy:
            interior.mtu = request.mtu
            steps.append(.create(.dummy, interior, lower: nil))
        case .bridge, .openVSwitch:
            guard let parent else { break }
            try connect(to: parent, existing, request, interior, host, container, bridgeAddress)
        case .macvlan, .ipvlan, .physical:
            guard let existing else { break }
            try stand(on: existing, request, interior, host)
        }
        address(request, container)
    }

    private mutating func connect(
        to parent: InterfaceName, _ existing: HostSnapshot.Interface?, _ request: AttachmentRequest,
        _ interior: AttachmentStep.Interior, _ host: HostSnapshot, _ container: ContainerSnapshot,
        _ bridgeAddress: MACAddress
    ) throws(AttachError) {
        shared.append(parent)
        if kind == .openVSwitch {
            if host.switches?.contains(parent.text) != true { steps.append(.createSwitch(parent)) }
        } else if existing == nil {
            steps.append(.createBridge(parent, bridgeAddress))
        }
        let name = request.hostName ?? Self.hostName(request.name, container.number)
        guard host.interface(name) == nil else {
            throw AttachError(
                "the host has an interface \(name) already",
                remedy: "choose another name with -l, or remove it: ip link del \(name)")
        }
        steps.append(.createPair(host: name, container: interior, bridge: kind == .bridge ? parent : nil))
        if kind == .openVSwitch { steps.append(.addPort(name, switch: parent, tag: request.vlan)) }
    }

    private mutating func stand(
        on existing: HostSnapshot.Interface, _ request: AttachmentRequest, _ interior: AttachmentStep.Interior,
        _ host: HostSnapshot
    ) throws(AttachError) {
        var lower = existing
        if !existing.isUp, request.vlan != nil || kind != .physical { steps.append(.setUp(existing.name)) }
        if let vlan = request.vlan {
            let name = "\(existing.name).\(vlan)"
            guard let subinterface = InterfaceName(name) else {
                throw AttachError(
                    "\(name) would be too long a name for an interface",
                    remedy: "make the VLAN yourself under a shorter one, and attach to that")
            }
            shared.append(subinterface)
            if let found = host.interface(subinterface) {
                guard found.vlan == vlan, found.lower == existing.index else {
                    throw AttachError(
                        "\(subinterface) exists but is not VLAN \(vlan) of \(existing.name)",
                        remedy: "rename it, or attach to it by its own name")
                }
                if !found.isUp { steps.append(.setUp(subinterface)) }
                lower = found
            } else {
                steps += [
                    .createVLAN(subinterface, lower: existing.name, id: vlan, mtu: existing.mtu), .setUp(subinterface),
                ]
                lower.name = subinterface
            }
        }
        switch kind {
        case .physical: steps.append(.move(lower.name, interior))
        case .ipvlan: steps.append(.create(.ipvlan, interior, lower: lower.name))
        default: steps.append(.create(.macvlan, interior, lower: lower.name))
        }
    }

    private mutating func address(_ request: AttachmentRequest, _ container: ContainerSnapshot) {
        switch request.addressing {
        case .none: steps.append(.setUpInContainer(request.name))
        case .dhcp(let dhcp):
            steps += [
                .setUpInContainer(request.name), .startDHCP(request.name, dhcp, hostName: container.hostName),
            ]
        case .fixed(let addresses):
            // 0/0 with a gateway has no address.
            steps += addresses.filter { $0.prefixLength > 0 }.map { .addAddress(request.name, $0) }
            steps.append(.setUpInContainer(request.name))
            for address in addresses {
                guard let gateway = address.gateway else { continue }
                let isOnLink = addresses.contains { $0.prefixLength > 0 && $0.prefix?.contains(gateway) == true }
                steps.append(
                    .setDefaultRoute(
                        request.name, gateway: gateway, isOnLink: isOnLink || gateway.v6.map(\.isLinkLocal) == true))
            }
        }
    }

    /// `veth1pl4711` where it fits, as pipework's; else as much of the interface's name as fits.
    static func hostName(_ name: InterfaceName, _ number: Int32) -> InterfaceName {
        let end = "pl\(number)"
        return InterfaceName("v\(name.text.prefix(14 - end.utf8.count))\(end)") ?? name
    }
}
