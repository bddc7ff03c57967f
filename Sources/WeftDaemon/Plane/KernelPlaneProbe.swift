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

    /// Loads the modules where that is allowed, makes a tunnel under a name of its own and deletes it. On a host that has
    /// the plane already nothing is made.
    ///
    /// The module ipip makes the interface tunl0, which stays down and does no harm.
    ///
    /// - Throws: when the kernel cannot be asked, which says nothing of the plane.
    func support() throws(NetlinkError) -> KernelPlaneSupport {
        if try fou.fouPorts() == nil { KernelModule.load("fou") }
        guard try fou.fouPorts() != nil else {
            return .unavailable(
                "the kernel has no Foo-over-UDP (for the kernel plane: modprobe fou, by a line in "
                    + "/etc/modules-load.d or with CAP_SYS_MODULE for weftd, and restart weftd)")
        }
        let links = try kernel.links()
        if links.contains(where: Self.isPlane) { return .available }
        for link in links where link.name == Self.name { _ = try kernel.execute([.deleteLink(index: link.index)]) }
        let tunnel = FOUTunnelSpec(local: .v4(IPv4Address(127, 0, 0, 1)), port: 8285)
        return try refusal(tunnel).map { .unavailable("the kernel refuses its tunnel: \($0)") } ?? .available
    }

    private static let name = InterfaceName(known: "weft-probe")

    private static func isPlane(_ link: Link) -> Bool { link.fouTunnel.map { !$0.isAltered } ?? false }

    private func refusal(_ tunnel: FOUTunnelSpec) throws(NetlinkError) -> String? {
        if let failure = try kernel.execute([.createLink(NewLink(name: Self.name, kind: tunnel.linkKind))]).first {
            return "\(failure)"
        }
        for link in try kernel.links() where link.name == Self.name {
            _ = try kernel.execute([.deleteLink(index: link.index)])
        }
        return nil
    }

    /// What a kernel plane has left behind, of an earlier process with another backend; by its making it is surely Weft's.
    func leftovers() -> Leftovers {
        var left = Leftovers()
        for link in (try? kernel.links()) ?? [] where link.name == UDPBackend.interface {
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
        case .ipip(let settings): FOUTunnelSpec(settings)
        default: nil
        }
    }
}
