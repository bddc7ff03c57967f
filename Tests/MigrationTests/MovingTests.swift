import EtcdRegistry
import Leases
import Testing

@testable import Migration

/// Hosts that go from one registry to the other, and their leases.
@Suite struct MovingTests {
    private func moved() async throws -> World {
        let world = World()
        world.v2.put(subnet(1), value(1))
        world.v2.put(subnet(2), value(2))
        try await world.settle()
        world.advance(hours: 2)
        world.v3.put(subnet(1), newValue(1, mac: 5))
        try await world.settle()
        return world
    }

    @Test func hostOnV3StaysKnownOnV2() async throws {
        let world = try await moved()
        #expect(world.v2.values == [subnet(1): newValue(1, mac: 5), subnet(2): value(2)])
        #expect(world.v3.values == world.v2.values)
        #expect(world.v2.remaining(subnet(1)) == .seconds(86400))
        // Long after the key's first time to live.
        for _ in 0..<10 {
            world.advance(hours: 20)
            world.v3.keepAlive(subnet(1))
            world.v2.put(subnet(2), value(2))
            try await world.settle()
            #expect(world.v2.remaining(subnet(1)) == .seconds(86400), "a renewal that no watcher sees is copied")
            #expect(world.v3.remaining(subnet(2)) == .seconds(86400))
        }
    }

    @Test func hostThatGoesBackLeadsOnV2Again() async throws {
        let world = try await moved()
        world.advance(hours: 1)
        world.v2.put(subnet(1), value(1, mac: 6))
        try await world.settle()
        #expect(world.v3.values[subnet(1)] == value(1, mac: 6))
        #expect(world.v3.remaining(subnet(1)) == .seconds(86400))
        world.v3.put(subnet(1), newValue(1, mac: 7))
        try await world.settle()
        #expect(world.v2.values[subnet(1)] == newValue(1, mac: 7))
    }

    @Test func hostThatMovedAndBackMeanwhileIsFoundByTheTimeThatIsLeft() async throws {
        let world = try await moved()
        world.v3.put(subnet(1), newValue(1, mac: 7))
        world.advance(hours: 1)
        world.v2.put(subnet(1), value(1, mac: 8))
        world.v2.put(subnet(2), value(2, mac: 3))
        world.advance(hours: 1)
        world.v3.put(subnet(2), newValue(2, mac: 4))
        #expect(try await world.settle().conflicts.isEmpty)
        for side in MigrationSide.allCases {
            #expect(world[side].values == [subnet(1): value(1, mac: 8), subnet(2): newValue(2, mac: 4)])
        }
    }

    @Test func endedLeaseIsNotRevived() async throws {
        let world = try await moved()
        // Host 1 on v3 and host 2 on v2 are gone for good.
        for _ in 0..<20 {
            world.advance(hours: 1.4)
            world.v3.electLeader()
            try await world.settle()
        }
        world.v3.remove(subnet(1))
        try await world.settle()
        #expect(world.v3.values.isEmpty)
        world.clock.advance(.seconds(2))
        try await world.settle()
        #expect(world.v2.values.isEmpty && world.v3.values.isEmpty)
        #expect(world.v3.notes.keys.map(\.self) == [.config])
    }

    @Test(arguments: MigrationSide.allCases)
    func deletedLeaseTakesItsCopyAlong(side: MigrationSide) async throws {
        let world = try await moved()
        let name = subnet(side == .v3 ? 1 : 2)
        world[side].remove(name)
        try await world.settle()
        world.clock.advance(.seconds(2))
        try await world.settle()
        #expect(world.v2.values[name] == nil && world.v3.values[name] == nil)
        #expect(world.v2.values.count == 1)
    }

    @Test(arguments: MigrationSide.allCases)
    func lostCopyIsMadeAgain(side: MigrationSide) async throws {
        let world = try await moved()
        let name = subnet(side == .v2 ? 1 : 2)
        let before = world[side].values[name]
        world[side].remove(name)
        try await world.settle()
        #expect(world[side].values[name] == before)
    }

    @Test func subnetThatIsGivenToAnotherHostOnV3IsNoConflict() async throws {
        let world = try await moved()
        world.v3.remove(subnet(1))
        world.v3.put(subnet(1), newValue(7))
        #expect(try await world.settle().conflicts.isEmpty)
        #expect(world.v2.values[subnet(1)] == newValue(7))
        // But the other host's on v2 is its own.
        world.v3.put(subnet(2), newValue(8))
        #expect(try await world.settle().reason(subnet(2)) == "v2 has it for 172.30.0.2, but v3 has it for 172.30.0.8")
        #expect(world.v2.values[subnet(2)] == value(2))
    }

    @Test func hostThatTakesAnotherSubnetIsFollowed() async throws {
        let world = try await moved()
        world.v3.remove(subnet(1))
        world.v3.put(subnet(6), newValue(1))
        #expect(try await world.settle().conflicts.isEmpty)
        #expect(world.v2.values[subnet(6)] == newValue(1))
        world.clock.advance(.seconds(2))
        try await world.settle()
        #expect(world.v2.values[subnet(1)] == nil)
    }

    @Test func newLeaderOfV3DoesNotTurnCopiesIntoOriginals() async throws {
        let world = try await moved()
        world.advance(hours: 10)
        world.v3.electLeader()
        #expect(try await world.settle().verdict(subnet(2)) == .same(origin: .v2))
        #expect(world.v2.remaining(subnet(2)) == .seconds(12 * 3600))
        world.advance(hours: 11.999)
        try await world.settle()
        world.advance(hours: 0.1)
        try await world.settle()
        #expect(world.v3.values[subnet(2)] == nil, "it goes with its original")
    }

    @Test func reservationThatIsUsedOnV3IsCopiedBack() async throws {
        let world = World()
        world.v2.put(subnet(1), #"{"PublicIP":"172.30.0.1"}"#, nil)
        try await world.settle()
        world.v3.put(subnet(1), newValue(1), nil)
        try await world.settle()
        #expect(world.v2.values[subnet(1)] == newValue(1) && world.v2.leases[subnet(1)]?.deadline == nil)
        world.advance(hours: 100)
        #expect(try await world.settle().verdict(subnet(1)) == .same(origin: .v3))
    }

    @Test func v2FromABackupDoesNotLead() async throws {
        let world = try await moved()
        world.v2.access { state in
            state.leases[subnet(1)]?.value = value(1)
            state.leases[subnet(1)]?.revision = 1
        }
        try await world.settle()
        #expect(world.v2.values[subnet(1)] == newValue(1, mac: 5) && world.v3.values[subnet(1)] == newValue(1, mac: 5))
    }

    @Test(arguments: MigrationSide.allCases)
    func daemonThatWritesInBetweenWins(side: MigrationSide) async throws {
        let world = try await moved()
        world.v2.put(subnet(2), value(2, mac: 3))
        world.v3.put(subnet(1), newValue(1, mac: 3))
        // As the migration is about to overwrite it.
        world[side].beforeWrite.withLock {
            $0 = {
                world.clock.advance(.seconds(10))
                world.v3.put(subnet(2), newValue(2, mac: 9))
                world.v2.put(subnet(1), value(1, mac: 9))
            }
        }
        #expect(try await world.settle().conflicts.isEmpty)
        for side in MigrationSide.allCases {
            #expect(world[side].values[subnet(2)] == newValue(2, mac: 9), "\(side)")
            #expect(world[side].values[subnet(1)] == value(1, mac: 9), "\(side)")
        }
    }

    /// Where, of the copy to v2, the original ends.
    @Test(arguments: [true, false], [true, false])
    func leaseThatEndsWhileItIsCopiedTakesItsCopyAlong(isNew: Bool, isBefore: Bool) async throws {
        let world = try await moved()
        let name = isNew ? subnet(4) : subnet(1)
        world.v3.put(name, newValue(isNew ? 4 : 1, mac: 9))
        if isBefore {
            world.v2.beforeWrite.withLock { $0 = { world.v3.remove(name) } }
        } else {
            world.v2.afterWrite.withLock { $0 = { world.v3.remove(name) } }
        }
        for _ in 0..<3 {
            try await world.settle()
            world.clock.advance(.seconds(2))
        }
        var left = [subnet(2): value(2)]
        if isNew { left[subnet(1)] = newValue(1, mac: 5) }
        #expect(world.v3.values == left && world.v2.values == left)
        #expect(world.v3.notes.count == left.count + 1)
    }

    @Test func followsUntilItIsStopped() async throws {
        let world = World()
        world.v2.put(subnet(1), value(1))
        let told = Told()
        let task = Task {
            try await Migration(from: world.v2, to: world.v3).follow(every: .milliseconds(20)) { told.add($0) }
        }
        try await eventually { world.v3.config != nil && world.v3.values == [subnet(1): value(1)] }
        world.v3.put(subnet(2), newValue(2))
        try await eventually { world.v2.values[subnet(2)] == newValue(2) }
        world.v2.put(subnet(3), value(3))
        world.v3.put(subnet(3), newValue(7))
        try await eventually { told.conflicts.map(\.subject) == [.lease(subnet(3))] }
        world.v3.remove(subnet(3))
        try await eventually { told.conflicts.isEmpty && world.v3.values[subnet(3)] == value(3) }
        let written = world.v2.access { $0.written.count } + world.v3.access { $0.written.count }
        try await Task.sleep(for: .milliseconds(200))
        #expect(world.v2.access { $0.written.count } + world.v3.access { $0.written.count } == written, "no echo")
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
