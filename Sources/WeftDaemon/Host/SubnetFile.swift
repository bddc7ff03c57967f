import Glibc
import IPNetwork
import Leases
import LinuxSystem

/// flannel's subnet.env: what container engines read.
public struct SubnetFile: Hashable, Sendable {
    /// Absolute.
    public let path: String

    /// Touches no file.
    public init(path: String) { self.path = path }

    /// The file's text, in flannel's order (`WriteSubnetFile`). FLANNEL_SUBNET is the subnet's first usable address, which
    /// the engine gives to its bridge.
    public static func text(config: NetworkConfig, key: SubnetKey, mtu: UInt32, masquerade: Bool) -> String {
        var text = ""
        if let network = config.ipv4?.network, let subnet = key.ipv4, let first = subnet.address.advanced(by: 1) {
            text += "FLANNEL_NETWORK=\(network)\nFLANNEL_SUBNET=\(first)/\(subnet.length)\n"
        }
        if let network = config.ipv6?.network, let subnet = key.ipv6, let first = subnet.address.advanced(by: 1) {
            text += "FLANNEL_IPV6_NETWORK=\(network)\nFLANNEL_IPV6_SUBNET=\(first)/\(subnet.length)\n"
        }
        return text + "FLANNEL_MTU=\(mtu)\nFLANNEL_IPMASQ=\(masquerade)\n"
    }

    /// The subnet that an earlier run wrote; `nil` when there is no file or it tells none.
    public func previousSubnet() -> SubnetKey? {
        guard let text = try? contents() else { return nil }
        var ipv4: IPv4Prefix?
        var ipv6: IPv6Prefix?
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { continue }
            if parts[0] == "FLANNEL_SUBNET" { ipv4 = IPv4Prefix(String(parts[1])) }
            if parts[0] == "FLANNEL_IPV6_SUBNET" { ipv6 = IPv6Prefix(String(parts[1])) }
        }
        if let ipv4 { return SubnetKey(ipv4: ipv4, ipv6: ipv6) }
        return ipv6.map { SubnetKey(ipv6: $0) }
    }

    /// The networks that an earlier run served; empty when there is no file or it tells none. A stock flannel of v0.21
    /// to v0.24 may have written several, with commas.
    public func previousNetworks() -> [IPPrefix] {
        guard let text = try? contents() else { return [] }
        return text.split(separator: "\n").flatMap { line -> [IPPrefix] in
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, ["FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"].contains(parts[0]) else { return [] }
            return parts[1].split(separator: ",").compactMap { IPPrefix(String($0)) }
        }
    }

    /// The file's text as it is.
    public func contents() throws(SystemCallError) -> String {
        try TextFile.read(path, limit: 64 << 10)
    }

    /// Puts `text` in the file's place in one step, with mode 0644; makes its folder if there is none.
    public func write(_ text: String) throws(SystemCallError) { try TextFile.replace(path, with: text) }

    /// Makes its folder if there is none and it can be made; that it cannot is told when the file is written.
    func makeFolder() { try? Folder.make(for: path) }
}
