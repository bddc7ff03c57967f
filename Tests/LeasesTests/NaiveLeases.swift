import IPNetwork
import Leases

/// The rules of ``LeaseSet`` in the plainest form: everything is judged from nothing, each against all.
struct NaiveLeases {
    var config: NetworkConfig
    var records: [String: LeaseRecord] = [:]
    var ownKey: SubnetKey?
    var ownIP: IPv4Address?
    /// Removed, and kept until then.
    var departing: [(end: ContinuousClock.Instant, record: LeaseRecord)] = []
    private(set) var holdsOwn = false

    mutating func judge() -> (leases: [SubnetKey: Lease], rejected: [String]) {
        var leases: [SubnetKey: Lease] = [:]
        var rejected: [String] = []
        var own: Lease?
        holdsOwn = false
        for record in records.values.sorted(by: { ($0.createRevision, $0.name) < ($1.createRevision, $1.name) }) {
            if let ownKey, isOwn(record) {
                let lease = Lease(
                    key: ownKey, attributes: LeaseAttributes(publicIP: ownIP), isReservation: false, createRevision: 1,
                    modRevision: 1)
                holdsOwn = !leases.values.contains { clash($0, lease) }
                if holdsOwn { own = lease }
                continue
            }
            guard let lease = try? LeaseCodec.decode(record), fits(lease),
                !(leases.values + [own].compactMap { $0 }).contains(where: { clash($0, lease) })
            else {
                rejected.append(record.name)
                continue
            }
            leases[lease.key] = lease
        }
        var kept: [(end: ContinuousClock.Instant, record: LeaseRecord)] = []
        for departure in departing.sorted(by: { $0.record.name < $1.record.name }) {
            guard records[departure.record.name] == nil, !isOwn(departure.record),
                let lease = try? LeaseCodec.decode(departure.record), fits(lease),
                !(leases.values + [own].compactMap { $0 }).contains(where: { clash($0, lease) })
            else { continue }
            leases[lease.key] = lease
            kept.append(departure)
        }
        departing = kept
        return (leases, rejected.sorted())
    }

    private func isOwn(_ record: LeaseRecord) -> Bool {
        guard let ownKey, SubnetKey(record.name) == ownKey else { return false }
        return record.name == ownKey.description || same(ownIP, (try? LeaseCodec.decode(record))?.attributes.publicIP)
    }

    private func fits(_ lease: Lease) -> Bool {
        var families = 0
        if let network = config.ipv4?.network, let subnet = lease.key.ipv4 {
            families += 1
            guard network.contains(subnet), subnet.length > network.length, let publicIP = lease.attributes.publicIP,
                publicIP != ownIP
            else { return false }
        }
        if let network = config.ipv6?.network, let subnet = lease.key.ipv6 {
            families += 1
            guard network.contains(subnet), lease.attributes.publicIPv6 != nil
            else { return false }
        }
        return families > 0
    }

    private func same<Address: Equatable>(_ one: Address?, _ two: Address?) -> Bool { one != nil && one == two }

    private func clash(_ one: Lease, _ two: Lease) -> Bool {
        if config.ipv4 != nil, let first = one.key.ipv4, let second = two.key.ipv4,
            first.overlaps(second) || same(one.attributes.publicIP, two.attributes.publicIP)
        {
            return true
        }
        if config.ipv6 != nil, let first = one.key.ipv6, let second = two.key.ipv6,
            first.overlaps(second) || same(one.attributes.publicIPv6, two.attributes.publicIPv6)
        {
            return true
        }
        return false
    }
}
