import IPNetwork

/// What accepted leases hold, to find who stands in a lease's way.
struct AcceptedLeases {
    /// What a lease takes of one family.
    struct Part<Address: NetworkAddress>: Hashable {
        let subnet: Prefix<Address>
        let publicIP: Address
    }

    /// What a lease takes, of the families that are on.
    struct Claim: Hashable {
        let ipv4: Part<IPv4Address>?
        let ipv6: Part<IPv6Address>?

        init(_ lease: Lease, in config: NetworkConfig) {
            ipv4 = Self.part(config.ipv4, lease.key.ipv4, lease.attributes.publicIP)
            ipv6 = Self.part(config.ipv6, lease.key.ipv6, lease.attributes.publicIPv6)
        }

        private static func part<Address>(
            _ range: AddressRange<Address>?, _ subnet: Prefix<Address>?, _ publicIP: Address?
        ) -> Part<Address>? {
            guard range != nil, let subnet, let publicIP else { return nil }
            return Part(subnet: subnet, publicIP: publicIP)
        }
    }

    /// The slot of a lease that conflicts, and how: words to go before "of" and its name.
    struct Conflict {
        let slot: Int
        let reason: String
    }

    private struct Family<Address: NetworkAddress> {
        var subnets = DisjointPrefixes<Address>()
        var publicIPs: [Address: Int] = [:]

        mutating func insert(_ part: Part<Address>, slot: Int) {
            subnets.insert(part.subnet, slot: slot)
            publicIPs[part.publicIP] = slot
        }

        mutating func remove(_ part: Part<Address>) {
            subnets.remove(part.subnet)
            publicIPs[part.publicIP] = nil
        }

        func conflicts(with part: Part<Address>, except slot: Int, publicIPName: String) -> [Conflict] {
            var conflicts: [Conflict] = []
            for other in subnets.overlapping(part.subnet) where other != slot {
                conflicts.append(Conflict(slot: other, reason: "\(part.subnet) overlaps the older lease"))
            }
            if let other = publicIPs[part.publicIP], other != slot {
                conflicts.append(
                    Conflict(slot: other, reason: "\(publicIPName) \(part.publicIP) is held by the older lease"))
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
