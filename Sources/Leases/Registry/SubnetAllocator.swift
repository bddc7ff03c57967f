import IPNetwork

/// Why no subnet can be had.
public enum AllocationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Every subnet of the range is taken. `range` is its text, first to last; `taken` is how many keys overlap it.
    case full(range: String, taken: Int)

    /// What happened and what can be done about it.
    public var description: String {
        switch self {
        case .full(let range, let taken):
            "no subnet is free in \(range): taken by \(taken) leases and reservations; widen Network, SubnetMin or "
                + "SubnetMax, or delete leases of hosts that are gone"
        }
    }
}

/// Picks a subnet for a host.
///
/// All free candidates are equally likely: flannel picks among the lowest hundred only, so that hosts which start
/// together collide more the more of them there are.
public struct SubnetAllocator: Sendable {
    private let config: NetworkConfig

    /// Takes the range, the subnet lengths and the families from `config`.
    public init(config: NetworkConfig) {
        self.config = config
    }

    /// A key with a subnet of each family that is on, overlapping none of `taken`.
    public func allocate(
        avoiding taken: some Sequence<SubnetKey>, preferring preferred: [SubnetKey] = []
    ) throws(AllocationError) -> SubnetKey {
        var generator = SystemRandomNumberGenerator()
        return try allocate(avoiding: taken, preferring: preferred, using: &generator)
    }

    /// The same with a generator of the caller's.
    ///
    /// - Parameters:
    ///   - taken: every key that the registry holds, reservations and unusable leases too. Time and memory grow with their
    ///     number and not with that of the candidates.
    ///   - preferred: subnets that the host would rather have, for example those that it had: for each family the first
    ///     that is free and in the range is taken.
    public func allocate(
        avoiding taken: some Sequence<SubnetKey>, preferring preferred: [SubnetKey] = [],
        using generator: inout some RandomNumberGenerator
    ) throws(AllocationError) -> SubnetKey {
        let taken = Array(taken)
        let ipv4 = try config.ipv4.map { range throws(AllocationError) in
            let free = try FreeSubnets(in: range, avoiding: taken.compactMap(\.ipv4))
            return free.first(of: preferred.compactMap(\.ipv4)) ?? free.random(using: &generator)
        }
        let ipv6 = try config.ipv6.map { range throws(AllocationError) in
            let free = try FreeSubnets(in: range, avoiding: taken.compactMap(\.ipv6))
            return free.first(of: preferred.compactMap(\.ipv6)) ?? free.random(using: &generator)
        }
        if let key = SubnetKey(of: ipv4 ?? nil, ipv6 ?? nil) { return key }
        throw AllocationError.full(range: "a network config without a family", taken: 0)
    }
}

/// The candidates of one family that are free, as gaps between sorted intervals: an IPv6 network may have 2^62.
private struct FreeSubnets<Address: NetworkAddress> {
    private let range: AddressRange<Address>
    /// What is taken, disjoint and ascending; candidates are numbered from 0 at subnetMin.
    private let intervals: [ClosedRange<Address.RawValue>]
    private let lowest: Address.RawValue
    private let count: Address.RawValue

    init(in range: AddressRange<Address>, avoiding taken: [Prefix<Address>]) throws(AllocationError) {
        let shift = Address.bitWidth - range.subnetLength
        let lowest = range.subnetMin.rawValue >> shift
        let highest = range.subnetMax.rawValue >> shift
        self.range = range
        self.lowest = lowest
        let overlapping = taken.compactMap { prefix -> ClosedRange<Address.RawValue>? in
            let first = max(prefix.address.rawValue >> shift, lowest)
            let last = min(prefix.lastAddress.rawValue >> shift, highest)
            return first <= last ? (first - lowest)...(last - lowest) : nil
        }
        intervals = Self.merged(overlapping)
        count = intervals.reduce(highest - lowest + 1) { $0 - ($1.upperBound - $1.lowerBound + 1) }
        guard count > 0 else {
            throw AllocationError.full(
                range: "\(range.subnetMin) to \(range.subnetMax) (/\(range.subnetLength))", taken: overlapping.count)
        }
    }

    func first(of preferred: [Prefix<Address>]) -> Prefix<Address>? {
        let shift = Address.bitWidth - range.subnetLength
        return preferred.first { subnet in
            guard range.admits(subnet) else { return false }
            let number = (subnet.address.rawValue >> shift) - lowest
            return !intervals.contains { $0.contains(number) }
        }
    }

    func random(using generator: inout some RandomNumberGenerator) -> Prefix<Address>? {
        subnet(free: Address.RawValue.random(in: 0..<count, using: &generator))
    }

    /// The free candidate that has `index` free ones below it.
    private func subnet(free index: Address.RawValue) -> Prefix<Address>? {
        var number = index
        for interval in intervals {
            guard interval.lowerBound <= number else { break }
            number += interval.upperBound - interval.lowerBound + 1
        }
        let address = Address(rawValue: (lowest + number) << (Address.bitWidth - range.subnetLength))
        return Prefix(address, length: range.subnetLength)
    }

    private static func merged(
        _ intervals: [ClosedRange<Address.RawValue>]
    ) -> [ClosedRange<Address.RawValue>] {
        var result: [ClosedRange<Address.RawValue>] = []
        for interval in intervals.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, interval.lowerBound <= last.upperBound {
                result[result.count - 1] = last.lowerBound...max(last.upperBound, interval.upperBound)
            } else {
                result.append(interval)
            }
        }
        return result
    }
}
