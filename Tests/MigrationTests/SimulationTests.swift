import EtcdRegistry
import Leases
import Testing

@testable import Migration

/// Hosts that come, go, move and come back at random, and a migration that is stopped at random.
@Suite struct SimulationTests {
    private struct Host {
        let number: Int
        /// Where its daemon runs.
        var side: MigrationSide?
        /// In its subnet file.
        var subnet: String?
        /// What its daemon wrote last.
        var value = ""
    }

    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    /// Starts a host's daemon, which finds its lease by its address, else takes the subnet of its file, else a free one.
    private func start(_ host: inout Host, on side: MigrationSide, _ world: World, _ random: inout Random) {
        host.side = side
        let leases = world[side].values
        let own = leases.sorted { $0.key < $1.key }.first { $0.value.contains("\"172.30.0.\(host.number)\"") }?.key
        let before = host.subnet.flatMap { leases[$0] == nil ? $0 : nil }
        let free = (1...40).map { MigrationTests.subnet($0) }.filter { leases[$0] == nil }
        host.subnet = own ?? before ?? free.randomElement(using: &random)
        write(&host, world, &random)
    }

    private func write(_ host: inout Host, _ world: World, _ random: inout Random) {
        guard let side = host.side, let name = host.subnet else { return }
        let mac = Int.random(in: 1...9, using: &random)
        host.value = side == .v2 ? value(host.number, mac: mac) : newValue(host.number, mac: mac)
        world[side].put(name, host.value)
    }

    @Test(arguments: 1...100)
    func everyHostKeepsItsSubnet(seed: Int) async throws {
        var random = Random(state: UInt64(seed))
        let world = World()
        world.v3.setConfig(World.config)
        var hosts = (1...8).map { Host(number: $0) }
        for _ in 0..<120 {
            let index = hosts.indices.randomElement(using: &random) ?? 0
            let before = hosts[index].subnet
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4: start(&hosts[index], on: Bool.random(using: &random) ? .v2 : .v3, world, &random)
            case 4: hosts[index].side = nil
            case 5: write(&hosts[index], world, &random)
            case 6: world.v3.electLeader()
            default:
                world.clock.advance(.seconds(Int.random(in: 1...3600 * 3, using: &random)))
                // Daemons renew; v3's without a write.
                for index in hosts.indices {
                    guard let side = hosts[index].side, let name = hosts[index].subnet else { continue }
                    guard let left = world[side].remaining(name), left < .seconds(20 * 3600) else { continue }
                    if side == .v3, world.v3.leases[name]?.granted == .seconds(86400) {
                        world.v3.keepAlive(name)
                    } else {
                        write(&hosts[index], world, &random)
                    }
                }
            }
            if let before, before != hosts[index].subnet {
                // Only a host that was away for a day may lose it.
                #expect(!world.v2.values.keys.contains(before) || !world.v3.values.keys.contains(before))
            }
            if Bool.random(using: &random) {
                let write = Int.random(in: 0..<6, using: &random)
                _ = try await world.settle(killedAt: write, afterIt: Bool.random(using: &random))
            }
            #expect(try await world.settle().conflicts.isEmpty)
            check(world, hosts)
        }
        // All hosts go: nothing lives on.
        for _ in 0..<30 {
            world.advance(hours: 1)
            try await world.settle()
        }
        #expect(world.v2.values.isEmpty && world.v3.values.isEmpty)
        #expect(world.v3.notes.keys.map(\.self) == [.config])
    }

    private func check(_ world: World, _ hosts: [Host]) {
        for side in MigrationSide.allCases {
            for host in hosts where host.side != nil {
                guard let name = host.subnet else { continue }
                #expect(world[side].values[name] == host.value, "host \(host.number) on \(side)")
            }
            // No host has two subnets, and what is on one side only is about to end.
            var named: [String: String] = [:]
            for (name, key) in world[side].leases {
                if world[side.other].values[name] == nil {
                    #expect(key.deadline.map { $0 - world.clock.now < .seconds(5) } ?? false)
                    continue
                }
                let address = key.value.split(separator: "\"")[3]
                #expect(named.updateValue(name, forKey: String(address)) == nil)
            }
        }
    }
}
