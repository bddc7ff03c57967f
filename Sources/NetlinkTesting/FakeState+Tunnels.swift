import Glibc
import IPNetwork
import LinuxSystem
import Netlink

extension FakeState {
    /// The usual MTU less the outer headers. Of a kind there is one tunnel for a local and a remote address.
    func usualMTU(of settings: IPTunnelSettings, _ kind: LinkKind) throws(Refusal) -> UInt32 {
        for link in links.values where link.kind?.name == kind.name {
            guard let other = link.kind?.tunnelSettings else { continue }
            if other.local == settings.local, other.remote == settings.remote { throw Refusal(EEXIST) }
        }
        let outer: UInt32 = kind.name == "ip6tnl" ? 40 : 20
        return 1500 - outer - (settings.encapsulation == nil ? 0 : 8)
    }
}

extension LinkKind {
    var tunnelSettings: IPTunnelSettings? {
        switch self {
        case .ipip(let settings), .ip6tnl(let settings): settings
        default: nil
        }
    }

    var isIPTunnel: Bool { tunnelSettings != nil }
}

extension FakeState {
    /// Attaching to a TUN device that is there is no error.
    mutating func makeTun(_ name: InterfaceName) -> CInt? {
        if let link = links.values.first(where: { $0.name == name }) {
            if case .tun = link.kind { return nil }
            return EINVAL
        }
        let index = nextIndex
        nextIndex += 1
        let link = Link(
            index: index, name: name, type: 65534, flags: [], mtu: 1500, operationalState: .down,
            kind: .tun(TunSettings()), addressGeneration: .eui64)
        links[index] = link
        events.append(.linkChanged(link))
        return nil
    }
}
