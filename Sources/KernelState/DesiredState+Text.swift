import IPNetwork

extension DesiredState {
    /// The state as lines in the manner of iproute2, sorted, for tests and `weftd --check`.
    public var text: String {
        var lines: [String] = []
        lines += fouPorts.map { "fou \($0.key) ipproto \($0.value.innerProtocol)" }.sorted()
        for link in links.values.sorted(by: { $0.name < $1.name }) { lines.append("link \(link)") }
        lines += addresses.map { "address \($0.address)/\($0.prefixLength) dev \($0.interface)" }.sorted()
        lines += neighbours.sorted { ($0.key.interface, $0.key.address) < ($1.key.interface, $1.key.address) }
            .map { "neighbour \($0.key.address) lladdr \($0.value) dev \($0.key.interface)" }
        lines += fdb.sorted { ($0.key.interface, $0.key.mac) < ($1.key.interface, $1.key.mac) }
            .map { "fdb \($0.key.mac) dst \($0.value) dev \($0.key.interface)" }
        lines += routes.sorted { $0.key.destination < $1.key.destination }
            .map { "route \($0.key.destination) \($0.value)" }
        lines += checkedInterfaces.sorted().map { "check sources on \($0)" }
        if let tunnel { lines.append("tunnel \(tunnel)") }
        lines += nextHops.sorted { $0.key < $1.key }.map { "tunnel \($0.key) to \($0.value)" }
        lines += blackholes.sorted().map { "route blackhole \($0)" }
        return lines.joined(separator: "\n")
    }
}

extension LinkSpec: CustomStringConvertible {
    /// On one line, much as `ip link` writes it.
    public var description: String {
        let mac = mac.map { " address \($0)" } ?? ""
        return "\(name) mtu \(mtu)\(mac) \(kind)"
    }
}

extension LinkSpec.Kind: CustomStringConvertible {
    /// The type and its attributes, much as `ip link` writes them.
    public var description: String {
        switch self {
        case .tun:
            "tun"
        case .fouTunnel(let tunnel):
            "\(tunnel.local.isIPv6 ? "ip6tnl" : "ipip") local \(tunnel.local) encap fou encap-dport \(tunnel.port)"
                + (tunnel.isAltered ? " altered" : "")
        case .vxlan(let vxlan):
            "vxlan id \(vxlan.vni) local \(vxlan.local) dev \(vxlan.lower) dstport \(vxlan.port)"
                + (vxlan.learning ? " learning" : " nolearning") + (vxlan.gbp ? " gbp" : "")
        }
    }
}
