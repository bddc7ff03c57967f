import Backends
import Glibc
import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Netlink
import Reconcile

/// Finds out whether the kernel can carry the udp backend's packets, by having it do so: what a kernel has, no version
/// and no file says for sure.
struct KernelPlaneProbe: Sendable {
    let kernel: any RouteNetlink
    let fou: any FOUNetlink

    /// What keeps any host from the kernel plane with this config, in words that follow "since".
    ///
    /// Linux looks an IPv6 route's gateway up, "onlink" or not, and refuses one that is reached by another device than the
    /// route's own ("Nexthop has invalid gateway or device mismatch", 6.1), which is every peer on the host's own link.
    static func obstacle(to config: NetworkConfig) -> String? {
        config.ipv6 == nil ? nil : "the network has IPv6, for which Linux refuses routes to peers on the same link"
    }

    /// Loads the modules where that is allowed, makes a tunnel under a name of its own and deletes it. On a host that has
    /// the plane already nothing is made.
    ///
    /// The modules ipip and ip6_tunnel make the interfaces tunl0 and ip6tnl0, which stay down and do no harm.
    ///
    /// - Throws: when the kernel cannot be asked, which says nothing of the plane.
    func support(ipv4: Bool, ipv6: Bool) throws(NetlinkError) -> KernelPlaneSupport {
        if try fou.fouPorts() == nil { KernelModule.load("fou") }
        guard try fou.fouPorts() != nil else {
            return .unavailable(
                "the kernel has no Foo-over-UDP (for the kernel plane: modprobe fou, by a line in "
                    + "/etc/modules-load.d or with CAP_SYS_MODULE for weftd, and restart weftd)")
        }
        if ipv6, access("/sys/module/fou6", F_OK) != 0 { KernelModule.load("fou6") }
        var links = try kernel.links()
        for link in links where link.name == Self.name {
            _ = try kernel.execute([.deleteLink(index: link.index)])
            links = try kernel.links()
        }
        for local in [ipv4 ? IPAddress("127.0.0.1") : nil, ipv6 ? IPAddress("::1") : nil].compactMap({ $0 }) {
            let tunnel = FOUTunnelSpec(local: local, port: 8285)
            if links.contains(where: { Self.isPlane($0, of: tunnel) }) { continue }
            if let failure = try refusal(tunnel) {
                return .unavailable("the kernel refuses its tunnel: \(failure)")
            }
        }
        return .available
    }

    private static let name = InterfaceName("weft-probe")

    private static func isPlane(_ link: Link, of tunnel: FOUTunnelSpec) -> Bool {
        guard link.kind?.name == tunnel.linkKind.name, let held = link.fouTunnel else { return false }
        return !held.isAltered
    }

    private func refusal(_ tunnel: FOUTunnelSpec) throws(NetlinkError) -> String? {
        guard let name = Self.name else { return nil }
        if let failure = try kernel.execute([.createLink(NewLink(name: name, kind: tunnel.linkKind))]).first {
            return "\(failure)"
        }
        for link in try kernel.links() where link.name == name {
            _ = try kernel.execute([.deleteLink(index: link.index)])
        }
        return nil
    }

    /// What a kernel plane has left behind, of an earlier process with another backend; by its making it is surely Weft's.
    func leftovers() -> Leftovers {
        var left = Leftovers()
        for link in (try? kernel.links()) ?? [] where UDPBackend.interfaces.contains(link.name) {
            guard let tunnel = link.fouTunnel, !tunnel.isAltered else { continue }
            left.interfaces.insert(link.name)
            left.ports.insert(FOUPortKey(isIPv6: tunnel.local.isIPv6, port: tunnel.port))
        }
        return left
    }

    /// A kernel plane's interfaces and the FOU ports that belong to them.
    struct Leftovers {
        var interfaces: Set<InterfaceName> = []
        var ports: Set<FOUPortKey> = []
    }
}

extension Link {
    var fouTunnel: FOUTunnelSpec? {
        switch kind {
        case .ipip(let settings), .ip6tnl(let settings): FOUTunnelSpec(settings)
        default: nil
        }
    }
}
