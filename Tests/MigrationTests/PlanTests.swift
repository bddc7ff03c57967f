import EtcdRegistry
import Leases
import Testing

@testable import Migration

@Suite struct PlanTests {
    @Test func copiesLeasesThenTheConfig() async throws {
        let world = World()
        for host in 1...3 { world.v2.put(subnet(host), value(host)) }
        world.v2.put(subnet(9), #"{"PublicIP":"172.30.0.9"}"#, nil)
        world.advance(hours: 5)
        let plan = try await world.plan()
        #expect(plan.steps.map(\.subject) == [1, 2, 3, 9].map { .lease(subnet($0)) } + [.config])
        #expect(plan.configVerdict == .create(on: .v3))
        #expect(plan.verdict(subnet(1)) == .create(on: .v3))
        let item = try #require(plan.items.first { $0.subject == .lease(subnet(2)) })
        #expect(item.host == "172.30.0.2" && item.remaining == .seconds(19 * 3600) && !item.isReservation)
        #expect(world.v3.values.isEmpty, "a plan changes nothing")

        try await world.settle()
        #expect(world.v3.values == world.v2.values)
        #expect(world.v3.config == World.config)
        #expect(world.v3.remaining(subnet(2)) == .seconds(19 * 3600))
        #expect(world.v3.leases[subnet(9)]?.deadline == nil, "a reservation stays one")
        #expect(try await world.plan().items.allSatisfy { $0.verdict == .same(origin: .v2) })
    }

    @Test func subnetOfAnotherHostIsAConflict() async throws {
        let world = World()
        world.v2.put(subnet(1), value(1))
        world.v2.put(subnet(2), value(2))
        world.v3.put(subnet(1), newValue(7))
        let plan = try await world.settle()
        #expect(plan.reason(subnet(1)) == "v2 has it for 172.30.0.1, but v3 has it for 172.30.0.7")
        #expect(world.v2.values[subnet(1)] == value(1) && world.v3.values[subnet(1)] == newValue(7))
        #expect(world.v3.values[subnet(2)] == value(2), "the others are copied")
        #expect(plan.configVerdict == .waits && world.v3.config == nil, "v3's daemons would allocate")
        world.v3.remove(subnet(1))
        #expect(try await world.settle().conflicts.isEmpty)
        #expect(world.v3.config == World.config)
    }

    @Test func overlapIsAConflict() async throws {
        let world = World()
        world.v3.setConfig(World.config)
        world.v2.put(subnet(2), value(1))
        world.v3.put("10.5.2.128-25", newValue(7))
        let plan = try await world.settle()
        #expect(plan.reason(subnet(2)) == "v3 has 10.5.2.128-25, which overlaps it, for 172.30.0.7")
        #expect(plan.reason("10.5.2.128-25") == "v2 has 10.5.2.0-24, which overlaps it, for 172.30.0.1")
        #expect(world.v2.values.count == 1 && world.v3.values.count == 1)
    }

    @Test func anotherSubnetOfTheSameHostIsAConflict() async throws {
        let world = World()
        world.v3.setConfig(World.config)
        world.v2.put(subnet(1), value(1))
        world.v3.put(subnet(5), newValue(1))
        let plan = try await world.settle()
        #expect(plan.reason(subnet(1)) == "v3 has 10.5.5.0-24, another subnet for the same host")
        #expect(plan.conflicts.count == 2)
        // What one side has twice is not this command's to judge.
        world.v3.remove(subnet(5))
        world.v2.put(subnet(5), value(1))
        #expect(try await world.settle().conflicts.isEmpty)
        #expect(world.v3.values.count == 2)
    }

    @Test func reservationsThatDifferAreAConflict() async throws {
        let world = World()
        world.v2.put(subnet(1), value(1, mac: 1), nil)
        world.v3.put(subnet(1), value(1, mac: 2), nil)
        #expect(try await world.settle().reason(subnet(1))?.contains("two reservations") == true)
    }

    @Test(arguments: [
        (#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#, true),
        (#"{ "network": "10.5.0.0/16", "Backend": {"Type": "vxlan"}}"#, true),
        (#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#, false),
    ])
    func configsAreCompared(other: String, isSame: Bool) async throws {
        let world = World()
        world.v3.setConfig(other)
        world.v2.put(subnet(1), value(1))
        let plan = try await world.settle()
        #expect(plan.conflicts.isEmpty == isSame)
        #expect(world.v3.values.isEmpty != isSame, "nothing is copied into another network")
        #expect(world.v3.config == other)
        #expect(plan.waitingLeases == (isSame ? 0 : 1))
    }

    @Test func v2WithoutConfigIsAConflict() async throws {
        let world = World(config: nil)
        world.v3.setConfig(World.config)
        world.v3.put(subnet(1), newValue(1))
        let plan = try await world.settle()
        #expect(plan.conflicts.map(\.subject) == [.config])
        #expect(world.v2.values.isEmpty)
    }

    @Test func v2ThatLostEverythingTakesNothingAlong() async throws {
        let world = World()
        world.v2.put(subnet(1), value(1))
        try await world.settle()
        world.v2.remove(subnet(1))
        world.v2.setConfig(nil)
        #expect(try await world.settle().conflicts.count == 1)
        #expect(world.v3.values[subnet(1)] == value(1) && world.v3.config == World.config)
    }

    @Test func changesOfTheConfigAreCopiedBothWays() async throws {
        let world = World()
        try await world.settle()
        let second = #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.0.0","Backend":{"Type":"vxlan"}}"#
        world.v2.setConfig(second)
        #expect(try await world.settle().conflicts.isEmpty)
        #expect(world.v3.config == second)
        world.v3.setConfig(World.config)
        try await world.settle()
        #expect(world.v2.config == World.config)
        world.v2.setConfig("nonsense")
        #expect(try await world.settle().conflicts.count == 1)
        #expect(world.v3.config == World.config)
    }

    @Test(arguments: ["nonsense", "10.5.1.1-24"])
    func strayKeysAreLeft(name: String) async throws {
        let world = World()
        world.v2.put(name, value(1))
        world.v2.put(subnet(3), "not json")
        world.v2.put(subnet(2), value(2))
        let plan = try await world.settle()
        guard case .skipped = plan.verdict(name), case .skipped = plan.verdict(subnet(3)) else {
            Issue.record("not skipped: \(plan.items)")
            return
        }
        #expect(plan.conflicts.isEmpty && world.v3.values == [subnet(2): value(2)])
        #expect(world.v3.config == World.config)
    }

    @Test func leaseOfBothFamiliesIsCopied() async throws {
        let world = World(
            config: #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:10:5::/48"}"#)
        let name = "10.5.34.0-24&fd00:10:5:1::-64"
        world.v2.put(name, value(1))
        try await world.settle()
        #expect(world.v3.values == [name: value(1)])
    }
}
