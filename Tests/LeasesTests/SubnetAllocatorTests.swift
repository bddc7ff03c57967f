import IPNetwork
import Leases
import Testing

/// SplitMix64 (Steele and others, 2014), so that a test draws the same numbers each time.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

@Suite struct SubnetAllocatorTests {
    private func allocator(_ text: String) throws -> SubnetAllocator {
        SubnetAllocator(config: try NetworkConfig(json: Array(text.utf8)))
    }

    private func keys(_ names: String...) -> [SubnetKey] { names.compactMap(SubnetKey.init) }

    @Test func uniformOverAllFreeCandidates() throws {
        let allocator = try allocator(#"{"Network":"10.5.0.0/16"}"#)
        let taken = keys("10.5.4.0-22", "10.5.9.0-24", "10.5.9.0-25", "10.5.200.128-25", "10.7.0.0-16", "10.5.0.0-24")
        var generator = SeededGenerator(seed: 1)
        var counts: [SubnetKey: Int] = [:]
        let draws = 50_000
        for _ in 0..<draws { counts[try allocator.allocate(avoiding: taken, using: &generator), default: 0] += 1 }
        // 255 candidates without 4 + 1 + 1 taken.
        #expect(counts.count == 249)
        for key in counts.keys {
            let subnet = try #require(key.ipv4)
            #expect(key.ipv6 == nil && subnet.length == 24)
            #expect(!taken.contains { $0.ipv4?.overlaps(subnet) == true })
        }
        let expected = Double(draws) / 249
        let chiSquare = counts.values.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
        // 248 degrees of freedom: mean 248, standard deviation 22.3; five of them either way.
        #expect((137...360).contains(chiSquare), "\(chiSquare)")
    }

    @Test func bounds() throws {
        let allocator = try allocator(#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.7.0","SubnetMax":"10.5.9.0"}"#)
        var generator = SeededGenerator(seed: 2)
        var seen: Set<String> = []
        for _ in 0..<100 { seen.insert(try allocator.allocate(avoiding: [], using: &generator).description) }
        #expect(seen == ["10.5.7.0-24", "10.5.8.0-24", "10.5.9.0-24"])
    }

    @Test func dualStackAndHugeRanges() throws {
        let allocator = try allocator(
            #"{"Network":"10.0.0.0/8","EnableIPv6":true,"IPv6Network":"fd00::/16","IPv6SubnetLen":126}"#)
        var generator = SeededGenerator(seed: 3)
        var taken: Set<SubnetKey> = []
        var high = 0
        for _ in 0..<200 {
            let key = try allocator.allocate(avoiding: taken, using: &generator)
            let ipv6 = try #require(key.ipv6)
            #expect(IPv6Prefix("fd00::/16")?.contains(ipv6) == true && ipv6.length == 126)
            if ipv6.address.rawValue >> 111 & 1 == 1 { high += 1 }
            #expect(!taken.contains { $0.ipv4 == key.ipv4 || $0.ipv6 == ipv6 })
            taken.insert(key)
        }
        #expect((60...140).contains(high), "spread over both halves of the range")
    }

    @Test func preferredSubnetsFamilyByFamily() throws {
        let allocator = try allocator(#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}"#)
        let taken = keys("10.5.7.0-24&fd00:0:0:7::-64", "10.5.8.0-25")
        func chosen(_ names: String...) throws -> SubnetKey {
            try allocator.allocate(avoiding: taken, preferring: names.compactMap(SubnetKey.init))
        }
        #expect(try chosen("10.5.9.0-24").ipv4 == IPv4Prefix("10.5.9.0/24"))
        #expect(try chosen("10.5.9.0-24").ipv6 != nil)
        let first = try chosen(
            "10.5.7.0-24&fd00:0:0:9::-64", "10.5.8.0-24", "10.6.0.0-24", "10.5.9.0-25", "10.5.1.0-24")
        #expect(first.description == "10.5.1.0-24&fd00:0:0:9::-64")
    }

    @Test func exhaustion() throws {
        let allocator = try allocator(#"{"Network":"10.5.0.0/28"}"#)
        var generator = SeededGenerator(seed: 4)
        var taken: Set<SubnetKey> = []
        for _ in 0..<3 { taken.insert(try allocator.allocate(avoiding: taken, using: &generator)) }
        #expect(Set(taken.map(\.description)) == ["10.5.0.4-30", "10.5.0.8-30", "10.5.0.12-30"])
        let error = #expect(throws: AllocationError.full(range: "10.5.0.4 to 10.5.0.12 (/30)", taken: 3)) {
            try allocator.allocate(avoiding: taken, using: &generator)
        }
        #expect(error?.description.contains("no subnet is free in 10.5.0.4 to 10.5.0.12 (/30): taken by 3") == true)
        #expect(throws: AllocationError.self) { try allocator.allocate(avoiding: keys("10.0.0.0-8")) }
    }
}
