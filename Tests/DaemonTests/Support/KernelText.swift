import Foundation
import IPNetwork
import LinuxSystem
import Netlink

/// What a host's kernel holds of the overlay, as sorted lines, so that a difference can be read.
///
/// Everything on the overlay's interface, and every route of the main table that the kernel did not make itself; the
/// test's own default route is left out.
enum KernelText {
    static func observe(_ kernel: NetlinkRouteSocket, overlay: [String] = ["flannel.1", "flannel0"]) throws -> [String]
    {
        let links = try kernel.links()
        let names = Dictionary(links.map { ($0.index, $0.name.text) }) { $1 }
        var lines: [String] = []
        for link in links where overlay.contains(link.name.text) {
            lines.append(text(of: link, names))
            lines += try kernel.addresses(interface: link.index).filter { !isLinkLocal($0.address) }
                .map { "address \($0.address)/\($0.prefixLength)" }
            lines += try kernel.neighbours(interface: link.index).filter { $0.state.contains(.permanent) }
                .map { "neighbour \($0.address) \($0.linkLayer.map { "\($0)" } ?? "-")" }
            lines += try kernel.forwardingEntries(interface: link.index).filter { $0.state.contains(.permanent) }
                .map { "fdb \($0.mac) \($0.destination.map { "\($0)" } ?? "-")" }
        }
        for route in try kernel.routes(RouteFilter(family: .v4, table: Route.mainTable)) where route.proto != .kernel {
            guard route.destination.length > 0 else { continue }
            lines.append(text(of: route, names))
        }
        return lines.sorted()
    }

    private static func text(of link: Link, _ names: [Int32: String]) -> String {
        var words = ["link \(link.kind?.name ?? "-") mtu \(link.mtu)"]
        words.append(link.hardwareAddress.map { "\($0)" } ?? "-")
        if case .vxlan(let vxlan) = link.kind {
            words.append("id \(vxlan.vni) port \(vxlan.port) local \(vxlan.local.map { "\($0)" } ?? "-")")
            words.append("dev \(vxlan.lower.flatMap { names[$0] } ?? "-") learning \(vxlan.learning)")
        }
        words.append(link.flags.contains(.up) ? "up" : "down")
        return words.joined(separator: " ")
    }

    private static func text(of route: Route, _ names: [Int32: String]) -> String {
        let hop = route.path.nextHop
        let path = hop.map { hop in
            (hop.gateway.map { "via \($0) " } ?? "") + "dev \(hop.interface.flatMap { names[$0] } ?? "-")"
                + (hop.onlink ? " onlink" : "")
        }
        return "route \(route.destination) \(path ?? "\(route.type)") proto \(route.proto)"
            + (route.metric.map { " metric \($0)" } ?? "")
    }

    private static func isLinkLocal(_ address: IPAddress) -> Bool { address.v6?.isLinkLocal ?? false }
}

/// A lease as a test expects it.
struct ExpectedLease: Hashable, Sendable {
    var subnet: IPv4Prefix
    var publicIP: String
    /// `nil` for host-gw and udp.
    var mac: String?
    /// Of the udp backend, which names no type.
    var isUDP: Bool

    init(subnet: IPv4Prefix, publicIP: String, mac: String? = nil, isUDP: Bool = false) {
        self.subnet = subnet
        self.publicIP = publicIP
        self.mac = mac
        self.isUDP = isUDP
    }

    /// What a key says; `nil` for one that is not an IPv4 lease.
    init?(name: String, value: String) throws {
        guard
            let subnet = IPv4Prefix(String(name.map { $0 == "-" ? "/" : $0 })),
            let value = try JSONSerialization.jsonObject(with: Data(value.utf8)) as? [String: Any],
            let publicIP = value["PublicIP"] as? String
        else { return nil }
        self.init(
            subnet: subnet, publicIP: publicIP, mac: (value["BackendData"] as? [String: Any])?["VtepMAC"] as? String,
            isUDP: value["BackendType"] == nil)
    }

    /// The key's last part: `10.5.34.0-24`.
    var name: String { "\(subnet.address)-\(subnet.length)" }

    var value: String {
        if isUDP { return #"{"PublicIP":"\#(publicIP)","PublicIPv6":null}"# }
        let type = mac == nil ? "host-gw" : "vxlan"
        let data = mac.map { #","BackendData":{"VNI":1,"VtepMAC":"\#($0)"}"# } ?? ""
        return #"{"PublicIP":"\#(publicIP)","PublicIPv6":null,"BackendType":"\#(type)"\#(data)}"#
    }

    /// What a vxlan host holds for it.
    var vxlanPeer: [String] {
        [
            "neighbour \(subnet.address) \(mac ?? "-")", "fdb \(mac ?? "-") \(publicIP)",
            "route \(subnet) via \(subnet.address) dev flannel.1 onlink proto 119",
        ]
    }

    /// What a vxlan host with this lease holds for itself.
    func vxlanHost(mtu: Int = 1450, local: String? = nil) -> [String] {
        [
            "link vxlan mtu \(mtu) \(mac ?? "-") id 1 port 8472 local \(local ?? publicIP) dev eth0 learning false up",
            "address \(subnet.address)/32",
        ]
    }

    /// What a host of the udp backend holds with the userspace plane, whoever its peers are.
    func udpHost(mtu: Int = 1472) -> [String] {
        [
            "address \(subnet.address)/32", "link tun mtu \(mtu) - up",
            "route 10.5.0.0/16 dev flannel0 proto 119 metric 1024",
        ]
    }

    var hostGatewayPeer: [String] { ["route \(subnet) via \(publicIP) dev eth0 proto 119"] }
}
