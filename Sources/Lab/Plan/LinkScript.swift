import IPNetwork

/// Commands for `ip -batch`, to be run in one network namespace.
public struct LinkScript: Hashable, Sendable {
    /// The namespace, for `ip netns`.
    public let namespace: String
    /// A command each, without the leading `ip`.
    public let lines: [String]

    /// The script as `ip -batch -` reads it.
    public var text: String { lines.map { $0 + "\n" }.joined() }
}

extension LabPlan {
    /// The bridge that the hosts plug into.
    func switchScript() -> LinkScript {
        LinkScript(
            namespace: switchNamespace,
            lines: [
                "link set lo up",
                "link add br0 type bridge",
                "address add \(Self.switchAddress)/\(Self.hostPrefixLength) dev br0",
                "link set br0 up",
            ])
    }

    /// A cable from the switch to each of `hosts`; both ends are born inside the lab's namespaces.
    func cableScript(for hosts: [LabHost]) -> LinkScript {
        LinkScript(
            namespace: switchNamespace,
            lines: hosts.flatMap { host in
                [
                    "link add \(host.name) type veth peer name eth0 netns \(host.namespace)",
                    "link set \(host.name) master br0 up",
                ]
            })
    }

    /// The links, addresses and routes of the lab before any daemon runs, in order.
    public func networkScripts() -> [LinkScript] {
        [switchScript(), cableScript(for: hosts)] + hosts.map { $0.uplinkScript() }
    }
}

extension LabHost {
    /// The host's own address and its way out.
    func uplinkScript() -> LinkScript {
        LinkScript(
            namespace: namespace,
            lines: [
                "link set lo up",
                "address add \(address)/\(LabPlan.hostPrefixLength) dev eth0",
                "link set eth0 up",
                "route add default via \(LabPlan.switchAddress)",
            ])
    }

    /// The bridge that the containers plug into, and their cables.
    func bridgeScript(_ subnet: SubnetFile) -> LinkScript {
        LinkScript(
            namespace: namespace,
            lines: [
                "link add weft0 type bridge",
                "address add \(subnet.gateway) dev weft0",
                "link set weft0 mtu \(subnet.mtu) up",
            ]
                + containers.flatMap { container in
                    [
                        "link add \(container.name) type veth peer name eth0 netns \(container.namespace)",
                        "link set \(container.name) mtu \(subnet.mtu) master weft0 up",
                    ]
                })
    }
}

extension LabContainer {
    /// The container's own address and its way out.
    func networkScript(_ subnet: SubnetFile) throws(LabError) -> LinkScript {
        let address = try subnet.address(ofContainer: number)
        return LinkScript(
            namespace: namespace,
            lines: [
                "link set lo up",
                "link set eth0 mtu \(subnet.mtu) up",
                "address add \(address)/\(subnet.gateway.prefixLength) dev eth0",
                "route add default via \(subnet.gateway.address)",
            ])
    }
}
