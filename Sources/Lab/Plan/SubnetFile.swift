import IPNetwork

/// What a daemon wrote into its subnet file for the container engine of its host.
public struct SubnetFile: Hashable, Sendable {
    /// FLANNEL_SUBNET: the bridge's address, with the length of the host's subnet.
    public let gateway: IPv4InterfaceAddress
    /// FLANNEL_MTU, in bytes.
    public let mtu: Int

    /// - Throws: ``LabError`` that names the missing or malformed line.
    public init(_ text: String) throws(LabError) {
        func value(_ key: String) throws(LabError) -> Substring {
            guard let line = text.split(separator: "\n").last(where: { $0.hasPrefix(key + "=") }) else {
                throw LabError("the subnet file has no \(key)")
            }
            return line.dropFirst(key.count + 1)
        }
        let subnet = try value("FLANNEL_SUBNET")
        guard let gateway = IPv4InterfaceAddress(String(subnet)) else {
            throw LabError("the subnet file has FLANNEL_SUBNET=\(subnet), not ADDRESS/LENGTH")
        }
        let size = try value("FLANNEL_MTU")
        guard let mtu = Int(size), (68...65535).contains(mtu) else {
            throw LabError("the subnet file has FLANNEL_MTU=\(size), not 68 to 65535")
        }
        self.gateway = gateway
        self.mtu = mtu
    }

    /// The address of the container with this number: those after the bridge's, in order.
    func address(ofContainer number: Int) throws(LabError) -> IPv4Address {
        guard
            let address = gateway.address.advanced(by: UInt32(number)), gateway.prefix.contains(address),
            address != gateway.prefix.lastAddress
        else { throw LabError("the subnet \(gateway.prefix) has no room for container \(number)") }
        return address
    }
}
