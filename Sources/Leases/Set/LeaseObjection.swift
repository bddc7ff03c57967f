import IPNetwork

/// What this host has: peers can't have it.
struct OwnLease: Hashable {
    var key: SubnetKey?
    var publicIP: IPv4Address?
    var publicIPv6: IPv6Address?
}

extension NetworkConfig {
    /// Why a peer's lease can't be used whatever the other hosts lease; `nil` when there is nothing against it.
    func objection(to lease: Lease, own: OwnLease) -> String? {
        let hasIPv4 = ipv4 != nil && lease.key.ipv4 != nil
        let hasIPv6 = ipv6 != nil && lease.key.ipv6 != nil
        guard hasIPv4 || hasIPv6 else {
            return ipv4 == nil
                ? "the key has no IPv6 subnet, and the network config has IPv6 alone"
                : "the key has no IPv4 subnet, and the network config has no IPv6"
        }
        if let ipv4, let subnet = lease.key.ipv4 {
            let rules = FamilyRules(
                range: ipv4, networkName: "Network", ownSubnet: own.key?.ipv4, publicIPName: "PublicIP",
                ownPublicIP: own.publicIP, isPossible: \.isPossiblePublicIP)
            if let reason = rules.objection(to: subnet, publicIP: lease.attributes.publicIP) { return reason }
        }
        if let ipv6, let subnet = lease.key.ipv6 {
            let rules = FamilyRules(
                range: ipv6, networkName: "IPv6Network", ownSubnet: own.key?.ipv6, publicIPName: "PublicIPv6",
                ownPublicIP: own.publicIPv6, isPossible: \.isUsableHostAddress)
            if let reason = rules.objection(to: subnet, publicIP: lease.attributes.publicIPv6) { return reason }
        }
        return nil
    }
}

extension AddressRange {
    /// The last address of the highest subnet that is given out.
    fileprivate var lastAddress: Address { Prefix(subnetMax, length: subnetLength)?.lastAddress ?? subnetMax }

    /// Whether a container may get this address.
    fileprivate func gives(_ address: Address) -> Bool { subnetMin <= address && address <= lastAddress }
}

/// Hosts may live inside Network: flannel's example config has 10.0.0.0/8 with bounds that spare the hosts' part. They
/// may even live between the bounds, where it works on flannel until somebody leases the subnet around a host: when this
/// host does, its peers may too.
private struct FamilyRules<Address: NetworkAddress> {
    let range: AddressRange<Address>
    let networkName: String
    let ownSubnet: Prefix<Address>?
    let publicIPName: String
    let ownPublicIP: Address?
    let isPossible: (Address) -> Bool

    func objection(to subnet: Prefix<Address>, publicIP: Address?) -> String? {
        guard range.network.contains(subnet) else {
            return "\(subnet) lies outside \(networkName) \(range.network)"
        }
        guard subnet.length > range.network.length else {
            return "\(subnet) is the whole of \(networkName); allowed: a part of it"
        }
        guard let publicIP else {
            return "\(publicIPName) is missing; allowed: the address where the host is reached"
        }
        guard isPossible(publicIP) else {
            return "\(publicIPName) \(publicIP) is no address that another host can have"
        }
        if subnet.contains(publicIP) {
            return "\(publicIPName) \(publicIP) lies inside the lease's own subnet \(subnet)"
        }
        if let ownSubnet, ownSubnet.contains(publicIP) {
            return "\(publicIPName) \(publicIP) lies inside this host's own subnet \(ownSubnet)"
        }
        if range.gives(publicIP), ownPublicIP.map(range.gives) != true {
            return "\(publicIPName) \(publicIP) lies inside the overlay: \(networkName) \(range.network) gives out "
                + "\(range.subnetMin) to \(range.lastAddress)"
        }
        guard publicIP != ownPublicIP else {
            return "\(publicIPName) \(publicIP) is this host's own"
        }
        return nil
    }
}

extension IPv4Address {
    /// Whether another host can be sent packets at this address. Link-local addresses work on a common link, and
    /// 240.0.0.0/4 does on Linux but for the broadcast address, so operators may use both.
    fileprivate var isPossiblePublicIP: Bool {
        !(isThisNetwork || isLoopback || isMulticast || rawValue == .max)
    }
}
