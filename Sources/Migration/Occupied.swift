import EtcdRegistry
import IPNetwork
import Leases

/// What names a host in a lease.
struct PublicAddress: Hashable, CustomStringConvertible {
    let ipv4: IPv4Address?
    let ipv6: IPv6Address?

    init?(_ attributes: LeaseAttributes) {
        // A host's lease is found by its IPv4 address where it has one.
        ipv4 = attributes.publicIP
        ipv6 = ipv4 == nil ? attributes.publicIPv6 : nil
        if ipv4 == nil, ipv6 == nil { return nil }
    }

    init?(_ value: [UInt8]) {
        guard let attributes = try? LeaseCodec.attributes(value) else { return nil }
        self.init(attributes)
    }

    var description: String { ipv4?.description ?? ipv6?.description ?? "" }
}

/// Subnets that one side has and the other has not, and that may be in the way of a copy.
struct Occupied {
    private struct Lease {
        let key: SubnetKey
        let host: PublicAddress?
    }

    private var bySide: [MigrationSide: [Lease]] = [:]

    /// - Parameter decisions: what is removed in the same plan is no obstacle.
    init(v2: MigrationSnapshot, v3: MigrationSnapshot, except decisions: [LeaseDecision]) {
        let removed = Set(decisions.compactMap { decision in decision.removesFrom.map { Place(decision.name, $0) } })
        for (side, here, there) in [(MigrationSide.v2, v2, v3), (.v3, v3, v2)] {
            // What both have stands side by side on the source too.
            bySide[side] = here.leases.compactMap { name, entry in
                guard there.leases[name] == nil, !removed.contains(Place(name, side)), let key = SubnetKey(name) else {
                    return nil
                }
                return Lease(key: key, host: PublicAddress(entry.value))
            }
        }
    }

    private struct Place: Hashable {
        let name: String
        let side: MigrationSide

        init(_ name: String, _ side: MigrationSide) {
            self.name = name
            self.side = side
        }
    }

    func obstacle(
        to key: SubnetKey, _ host: PublicAddress?, on side: MigrationSide
    ) -> (SubnetKey, reason: String)? {
        for lease in bySide[side] ?? [] {
            if lease.key.overlaps(key) {
                return (lease.key, "which overlaps it, for \(lease.host?.description ?? "nobody")")
            }
            if let host, lease.host == host { return (lease.key, "another subnet for the same host") }
        }
        return nil
    }
}

extension SubnetKey {
    fileprivate func overlaps(_ other: SubnetKey) -> Bool {
        if let left = ipv4, let right = other.ipv4, left.overlaps(right) { return true }
        if let left = ipv6, let right = other.ipv6, left.overlaps(right) { return true }
        return false
    }
}
