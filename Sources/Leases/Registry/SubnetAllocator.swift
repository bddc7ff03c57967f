import IPNetwork

/// Why no subnet can be had.
public enum AllocationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Every subnet of the range is taken. `range` is its text, first to last; `taken` is how many keys overlap it.
    case full(range: String, taken: Int)

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

    public init(config: NetworkConfig) {
        self.config = config
    }

    /// A key with a subnet of each family that is on, overlapping none of `taken`.
    public func allocate(avoiding taken: some Sequence<SubnetKey>) throws(AllocationError) -> SubnetKey {
        var generator = SystemRandomNumberGenerator()
        return try allocate(avoiding: taken, using: &generator)
    }

    /// The same with a generator of the caller's.
    ///
    /// - Parameter taken: every key that the registry holds, reservations and unusable leases too. Time and memory grow
    ///   with their number and not with that of the candidates.
    public func allocate(
        avoiding taken: some Sequence<SubnetKey>, using generator: inout some RandomNumberGenerator
    ) throws(AllocationError) -> SubnetKey {
        let taken = Array(taken)
        let ipv4 = try pick(config.ipv4, taken.compactMap(\.ipv4), &generator)
        let ipv6 = try pick(config.ipv6, taken.compactMap(\.ipv6), &generator)
        if let ipv4 { return SubnetKey(ipv4: ipv4, ipv6: ipv6) }
        if let ipv6 { return SubnetKey(ipv6: ipv6) }
        throw AllocationError.full(range: "a network config without a family", taken: 0)
    }

    private func pick<Address>(
        _ range: AddressRange<Address>?, _ taken: [Prefix<Address>], _ generator: inout some RandomNumberGenerator
    ) throws(AllocationError) -> Prefix<Address>? {
        guard let range else { return nil }
        // Candidates are numbered from 0 at subnetMin.
        let shift = Address.RawValue(Address.bitWidth - range.subnetLength)
        let lowest = range.subnetMin.rawValue >> shift
        let highest = range.subnetMax.rawValue >> shift
        let intervals = Self.merged(
            taken.compactMap { prefix in
                let first = max(prefix.address.rawValue >> shift, lowest)
                let last = min(prefix.lastAddress.rawValue >> shift, highest)
                return first <= last ? (first - lowest)...(last - lowest) : nil
            })
        let used = intervals.reduce(Address.RawValue(0)) { $0 + ($1.upperBound - $1.lowerBound + 1) }
        let free = highest - lowest + 1 - used
        guard free > 0 else {
            throw AllocationError.full(
                range: "\(range.subnetMin) to \(range.subnetMax) (/\(range.subnetLength))",
                taken: taken.count { $0.lastAddress >= range.subnetMin && $0.address.rawValue >> shift <= highest })
        }
        var number = Address.RawValue.random(in: 0..<free, using: &generator)
        for interval in intervals {
            guard interval.lowerBound <= number else { break }
            number += interval.upperBound - interval.lowerBound + 1
        }
        return Prefix(Address(rawValue: (lowest + number) << shift), length: range.subnetLength)
    }

    private static func merged<Value: FixedWidthInteger>(_ intervals: [ClosedRange<Value>]) -> [ClosedRange<Value>] {
        var result: [ClosedRange<Value>] = []
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
