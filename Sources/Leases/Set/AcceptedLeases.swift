import IPNetwork

/// What accepted leases hold, to find who stands in a lease's way.
struct AcceptedLeases {
    /// What a lease takes of one family.
    struct Part<Address: NetworkAddress>: Hashable {
        let subnet: Prefix<Address>
        /// `nil` when the subnet alone is claimed.
        let publicIP: Address?
    }

    /// What a lease takes, of the families that are on.
    struct Claim: Hashable {
        let ipv4: Part<IPv4Address>?
        let ipv6: Part<IPv6Address>?

        init(_ lease: Lease, in config: NetworkConfig) {
            self.init(
                lease.key, publicIP: lease.attributes.publicIP, publicIPv6: lease.attributes.publicIPv6, in: config)
        }

        init(
            _ key: SubnetKey, publicIP: IPv4Address? = nil, publicIPv6: IPv6Address? = nil, in config: NetworkConfig
        ) {
            ipv4 = config.ipv4 == nil ? nil : key.ipv4.map { Part(subnet: $0, publicIP: publicIP) }
            ipv6 = config.ipv6 == nil ? nil : key.ipv6.map { Part(subnet: $0, publicIP: publicIPv6) }
        }
    }

    /// The slot of a lease that conflicts, and how: words to go before what names that lease.
    struct Conflict {
        let slot: Int
        let reason: String
    }

    private struct Family<Address: NetworkAddress> {
        var subnets = DisjointPrefixes<Address>()
        var publicIPs: [Address: Int] = [:]

        mutating func insert(_ part: Part<Address>, slot: Int) {
            subnets.insert(part.subnet, slot: slot)
            if let publicIP = part.publicIP { publicIPs[publicIP] = slot }
        }

        mutating func remove(_ part: Part<Address>) {
            subnets.remove(part.subnet)
            if let publicIP = part.publicIP { publicIPs[publicIP] = nil }
        }

        func conflicts(with part: Part<Address>, except slot: Int, publicIPName: String) -> [Conflict] {
            var conflicts: [Conflict] = []
            for other in subnets.overlapping(part.subnet) where other != slot {
                conflicts.append(Conflict(slot: other, reason: "\(part.subnet) overlaps"))
            }
            if let publicIP = part.publicIP, let other = publicIPs[publicIP], other != slot {
                conflicts.append(Conflict(slot: other, reason: "\(publicIPName) \(publicIP) is held by"))
            }
            return conflicts
        }
    }

    private var ipv4 = Family<IPv4Address>()
    private var ipv6 = Family<IPv6Address>()
    /// By slot.
    private var claims: [Claim?] = []

    subscript(slot: Int) -> Claim? { slot < claims.count ? claims[slot] : nil }

    /// The accepted leases that can't be accepted together with `claim`, itself left out.
    func conflicts(with claim: Claim, except slot: Int) -> [Conflict] {
        let first = claim.ipv4.map { ipv4.conflicts(with: $0, except: slot, publicIPName: "PublicIP") } ?? []
        let second = claim.ipv6.map { ipv6.conflicts(with: $0, except: slot, publicIPName: "PublicIPv6") } ?? []
        return first + second
    }

    /// Nothing that conflicts with `claim` may be here.
    mutating func insert(_ claim: Claim, slot: Int) {
        while claims.count <= slot { claims.append(nil) }
        claims[slot] = claim
        if let part = claim.ipv4 { ipv4.insert(part, slot: slot) }
        if let part = claim.ipv6 { ipv6.insert(part, slot: slot) }
    }

    mutating func remove(slot: Int) {
        guard let claim = self[slot] else { return }
        claims[slot] = nil
        if let part = claim.ipv4 { ipv4.remove(part) }
        if let part = claim.ipv6 { ipv6.remove(part) }
    }
}
