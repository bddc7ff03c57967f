import EtcdRegistry
import Leases
import Testing

@testable import Migration

/// A migration that is killed anywhere, and run again.
@Suite struct StoppingTests {
    /// Something of everything that a run may have to do.
    private func busyWorld() async throws -> World {
        let world = World()
        for host in 1...4 { world.v2.put(subnet(host), value(host)) }
        for host in 5...6 { world.v3.put(subnet(host), newValue(host)) }
        try await world.settle()
        world.advance(hours: 3)
        world.v2.put(subnet(1), value(1, mac: 2))
        world.v3.put(subnet(2), newValue(2, mac: 2))
        world.v2.remove(subnet(3))
        world.v3.remove(subnet(5))
        world.v3.keepAlive(subnet(6))
        world.v2.put(subnet(7), value(7))
        world.v3.put(subnet(8), newValue(8), nil)
        world.v2.setConfig(#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.0.0","Backend":{"Type":"vxlan"}}"#)
        return world
    }

    private func freshWorld() async throws -> World {
        let world = World()
        for host in 1...4 { world.v2.put(subnet(host), value(host)) }
        world.v2.put(subnet(9), #"{"PublicIP":"172.30.0.9"}"#, nil)
        return world
    }

    /// What both say, with the time that is left.
    private func state(_ world: World) -> [[String: String]] {
        MigrationSide.allCases.map { side in
            world[side].leases.mapValues { key in
                let seconds = key.deadline.map { "\(($0 - world.clock.now).components.seconds)" } ?? "reserved"
                return "\(key.value) \(seconds)"
            }
        }
    }

    @Test(arguments: [true, false], [true, false])
    func endsInTheSameStateWhereverItWasStopped(isFresh: Bool, isDone: Bool) async throws {
        let uninterrupted = try await isFresh ? freshWorld() : busyWorld()
        try await uninterrupted.settle()
        let wanted = (state(uninterrupted), uninterrupted.v2.config, uninterrupted.v3.config)
        var stops = 0
        while true {
            let world = try await isFresh ? freshWorld() : busyWorld()
            guard try await world.settle(killedAt: stops, afterIt: isDone) else { break }
            #expect(world.v3.config == nil || Set(world.v2.values.keys).isSubset(of: world.v3.values.keys) || !isFresh)
            #expect(try await world.settle().conflicts.isEmpty)
            #expect(state(world) == wanted.0, "stopped at write \(stops)")
            #expect(world.v2.config == wanted.1 && world.v3.config == wanted.2)
            #expect(try await world.settle().items.allSatisfy(\.isAtRest))
            stops += 1
        }
        #expect(stops >= (isFresh ? 6 : 10))
    }

    /// While nobody runs it.
    @Test(arguments: [Duration.seconds(86400), nil], [true, false])
    func leaseThatEndsAfterACopyWasStoppedIsNotRevived(timeToLive: Duration?, isDone: Bool) async throws {
        var stops = 0
        while true {
            let world = World()
            world.v2.put(subnet(1), value(1))
            try await world.settle()
            world.v3.put(subnet(2), newValue(2), timeToLive)
            guard try await world.settle(killedAt: stops, afterIt: isDone) else { break }
            world.v3.remove(subnet(2))
            for _ in 0..<3 {
                try await world.settle()
                world.clock.advance(.seconds(2))
            }
            for side in MigrationSide.allCases {
                #expect(world[side].values == [subnet(1): value(1)], "stopped at write \(stops)")
            }
            #expect(world.v3.notes.count == 2)
            stops += 1
        }
        #expect(stops == 3, "announced, copied, noted")
    }

    @Test func reservationThatChangesAfterACopyWasStoppedIsNoConflict() async throws {
        for stop in 0..<3 {
            let world = World()
            try await world.settle()
            world.v3.put(subnet(2), newValue(2), nil)
            #expect(try await world.settle(killedAt: stop, afterIt: true))
            world.v3.put(subnet(2), newValue(2, mac: 7), nil)
            #expect(try await world.settle().conflicts.isEmpty)
            #expect(world.v2.values == [subnet(2): newValue(2, mac: 7)] && world.v3.values == world.v2.values)
        }
    }

    /// Which writes the same bytes, into the copy that nobody has noted.
    @Test func hostThatMovesBackAfterACopyWasStoppedLeads() async throws {
        let world = World()
        try await world.settle()
        world.v3.put(subnet(2), newValue(2))
        #expect(try await world.settle(killedAt: 1, afterIt: true))
        world.advance(hours: 1)
        world.v2.put(subnet(2), newValue(2))
        #expect(try await world.settle().verdict(subnet(2)) == .same(origin: .v2))
        world.advance(hours: 23.5)
        try await world.settle()
        #expect(world.v2.values == [subnet(2): newValue(2)])
    }

    @Test func finishesWhatWasStoppedAtEveryWrite() async throws {
        let world = try await busyWorld()
        // Each run gets one write further.
        var runs = 0
        while try await world.settle(killedAt: 1, afterIt: false) {
            runs += 1
            try #require(runs < 50)
        }
        #expect(runs >= 5)
        #expect(world.v2.values.filter { !$0.key.contains(".5.5.") } == world.v3.values)
    }
}

extension MigrationItem {
    /// Nothing to do, or something that only waits for its end.
    fileprivate var isAtRest: Bool {
        switch verdict {
        case .same, .endsSoon: true
        default: false
        }
    }
}
