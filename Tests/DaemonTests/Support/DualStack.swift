import Foundation
import IPNetwork
import LinuxSystem

/// The lab's IPv6 side: addresses for hosts and containers, and what a kernel must hold of the IPv6 overlay.
enum DualStack {
    static func config(_ backend: String, hasIPv4: Bool = true, subnets: String = "") -> String {
        let ipv4 = hasIPv4 ? #""Network":"10.5.0.0/16""# : #""EnableIPv4":false"#
        return #"{\#(ipv4),"EnableIPv6":true,"IPv6Network":"fd00:10:5::/48"\#(subnets),"Backend":\#(backend)}"#
    }

    static let vxlan = #"{"Type":"vxlan"}"#
    static let direct = #"{"Type":"vxlan","DirectRouting":true}"#
    static let hostGateway = #"{"Type":"host-gw"}"#

    /// A lease in etcd, with the fields that matter for IPv6.
    struct Lease: Hashable {
        var name: String
        var publicIP: String?
        var publicIPv6: String?
        var mac: String?

        /// `nil` for an IPv4-only key.
        var subnet: String? {
            let parts = name.split(separator: "&")
            guard let part = parts.last, part.contains(":") else { return nil }
            return String(part).replacing("-", with: "/")
        }
        var gateway: String? { subnet.map { String($0.split(separator: "/")[0]) } }
    }
}

extension LabHost {
    var ipv6Address: String { "fd00:30::\(address.split(separator: ".").last ?? "")" }
    static let addressIPv6 = "ip addr add ADDRESS/64 dev eth0 nodad"

    /// Gives the uplink an IPv6 address and lets the host forward IPv6.
    func addIPv6() throws {
        try shell(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.all.forwarding=1;"
                + LabHost.addressIPv6.replacing("ADDRESS", with: ipv6Address))
    }

    /// What the kernel holds of the IPv6 overlay, as sorted lines.
    func ipv6Text() throws -> [String] {
        let text = try shell(
            """
            ip -6 route show proto 119 | sed 's/^/route /;s/ metric 1024//;s/ pref medium//;s/ *$//'
            if [ -e /proc/sys/net/ipv6/conf/flannel-v6.1 ]; then
            ip -o link show flannel-v6.1 | sed -E 's/.*<([^>]*)>.* mtu ([0-9]+).*ether ([^ ]+) .*/\\1 mtu \\2 \\3/;s/^.*,UP[^ ]*|^UP[^ ]*/link up/;s/^[A-Z][^ ]*/link down/'
            ip -6 -o addr show dev flannel-v6.1 scope global | awk '{print "address", $4}'
            ip -6 neigh show dev flannel-v6.1 nud permanent | awk '{print "neighbour", $1, $3}'
            bridge fdb show dev flannel-v6.1 | awk '/permanent/ {print "fdb", $1, $3}'
            fi
            """)
        return text.split(separator: "\n").map(String.init).sorted()
    }
}

extension TestLab {
    func dualLeases() throws -> [DualStack.Lease] {
        try client.list(prefix: key("")).map { record in
            let value = try JSONSerialization.jsonObject(with: Data(record.value)) as? [String: Any] ?? [:]
            return DualStack.Lease(
                name: record.key.split(separator: "/").last.map(String.init) ?? "",
                publicIP: value["PublicIP"] as? String, publicIPv6: value["PublicIPv6"] as? String,
                mac: (value["BackendV6Data"] as? [String: Any])?["VtepMAC"] as? String)
        }
    }

    func dualLease(of host: LabHost) throws -> DualStack.Lease {
        let held = try dualLeases().filter { $0.publicIPv6 == host.ipv6Address }
        guard held.count == 1 else { throw Failure("\(host.ipv6Address) holds \(held.count) leases") }
        return held[0]
    }

    /// What a host must hold of the IPv6 overlay, given the leases in etcd.
    func expectedIPv6(_ host: LabHost, isDirect: Bool = false, mtu: Int = 1430) throws -> [String] {
        let own = try dualLease(of: host)
        var lines: [String] = []
        if let mac = own.mac, let gateway = own.gateway {
            lines += ["link up mtu \(mtu) \(mac)", "address \(gateway)/128"]
        }
        for peer in try dualLeases() where peer != own {
            guard let subnet = peer.subnet, let gateway = peer.gateway, let remote = peer.publicIPv6 else { continue }
            guard let mac = peer.mac, !isDirect else {
                lines.append("route \(subnet) via \(remote) dev eth0")
                continue
            }
            lines += [
                "route \(subnet) via \(gateway) dev flannel-v6.1 onlink", "neighbour \(gateway) \(mac)",
                "fdb \(mac) \(remote)",
            ]
        }
        return lines.sorted()
    }

    @discardableResult
    func settleIPv6(_ host: LabHost, _ what: String = "", isDirect: Bool = false) async throws -> Duration {
        try await eventually(
            "\(host.namespace) IPv6 \(what)", equals: { try self.expectedIPv6(host, isDirect: isDirect) }
        ) { try host.ipv6Text() }
    }
}

/// A container with the addresses of the families that its host has subnets of.
struct DualContainer: Sendable {
    let namespace: String
    let ipv4: String?
    let ipv6: String?

    /// Makes a bridge with the host's subnets, as a container engine would, and a container on it. Their MTU is one that
    /// no path has, so that a router has to say what fits.
    init(on host: LabHost, mtu: Int? = nil) throws {
        namespace = "\(host.namespace)-c"
        let size = mtu.map { "\($0)" } ?? host.subnetFileValue("FLANNEL_MTU") ?? "1400"
        let gateways = ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"].map { host.subnetFileValue($0) }
        func second(_ gateway: String?, _ separator: Character) -> String? {
            gateway.map { gateway in
                let address = gateway.split(separator: "/")[0]
                return String(address[...(address.lastIndex(of: separator) ?? address.startIndex)]) + "2"
            }
        }
        ipv4 = second(gateways[0], ".")
        ipv6 = second(gateways[1], ":")
        var script = """
            ip netns add \(namespace)
            ip -n \(host.namespace) link add docker0 type bridge
            ip -n \(host.namespace) link set docker0 mtu \(size) up
            ip -n \(host.namespace) link add cv type veth peer name eth0 netns \(namespace)
            ip -n \(host.namespace) link set cv master docker0 mtu \(size) up
            ip -n \(namespace) link set lo up
            ip -n \(namespace) link set eth0 mtu \(size) up

            """
        for (gateway, address) in zip(gateways, [ipv4, ipv6]) {
            guard let gateway, let address, let length = gateway.split(separator: "/").last else { continue }
            let flag = address.contains(":") ? " nodad" : ""
            script += """
                ip -n \(host.namespace) addr add \(gateway) dev docker0\(flag)
                ip -n \(namespace) addr add \(address)/\(length) dev eth0\(flag)
                ip -n \(namespace) route add default via \(gateway.split(separator: "/")[0])

                """
        }
        try run(["sh", "-ec", script])
    }

    private func command(_ words: String) throws -> String {
        try run(["ip", "netns", "exec", namespace, "sh", "-c", words])
    }

    /// Waits until a ping and a TCP connection of each family come through.
    func reach(_ other: DualContainer) async throws {
        for address in [other.ipv4, other.ipv6].compactMap({ $0 }) {
            try await eventually("\(namespace) pings \(address)") {
                (try? self.command("ping -n -c 1 -W 1 \(address)")) != nil
            }
            let server = try BackgroundProcess(
                ["ip", "netns", "exec", other.namespace, "python3", "-c", Self.server, address], log: "/dev/null")
            defer { server.stop() }
            try await eventually("\(namespace) gets 1 MB from \(address) over TCP") {
                (try? self.command("python3 -c '\(Self.client)' \(address)")) == "1000000\n"
            }
        }
    }

    private static let server = """
        import socket,sys
        s=socket.create_server((sys.argv[1],5201),family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
        while True:
            c,_=s.accept(); c.sendall(b"x"*1000000); c.close()
        """
    private static let client = """
        import socket,sys
        c=socket.create_connection((sys.argv[1],5201),2); n=0
        while True:
            d=c.recv(65536)
            if not d: break
            n+=len(d)
        print(n)
        """

    /// A packet of `size` bytes in all, that no router may cut; the answer of `ping`.
    func ping(_ address: String, size: Int) -> String {
        let headers = address.contains(":") ? 48 : 28
        return (try? command("ping -n -M do -c 1 -W 1 -s \(size - headers) \(address) 2>&1 || true")) ?? ""
    }

    /// Pings `address` a hundred times a second while `body` runs.
    ///
    /// - Returns: how many got no answer, and how many there were.
    func pinging(_ address: String, _ body: () async throws -> Void) async throws -> (lost: Int, sent: Int) {
        let log = "\(NSTemporaryDirectory())/\(namespace)-ping-\(UInt32.random(in: 0...(.max)))"
        let process = try BackgroundProcess(
            ["ip", "netns", "exec", namespace, "ping", "-n", "-i", "0.01", "-W", "1", address], log: log)
        defer { try? FileManager.default.removeItem(atPath: log) }
        try await Task.sleep(for: .milliseconds(100))
        try await body()
        try await Task.sleep(for: .milliseconds(300))
        process.stop(SIGINT)
        let words = process.log.split(separator: "\n").last { $0.contains("packets transmitted") }?.split(
            separator: " ")
        guard let words, words.count > 3, let sent = Int(words[0]), let received = Int(words[3]) else {
            throw Failure("ping of \(address): \(process.log.suffix(500))")
        }
        // The last may be under way when it is stopped.
        return (max(0, sent - received - 1), sent)
    }
}
