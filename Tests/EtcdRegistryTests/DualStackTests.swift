import EtcdRegistry
import IPNetwork
import Leases
import Testing

/// Four subnets for IPv4 and four for IPv6.
private let narrow =
    #"{"Network":"10.5.0.0/22","SubnetLen":24,"SubnetMin":"10.5.0.0","EnableIPv6":true,"IPv6Network":"fd00::/62","IPv6SubnetMin":"fd00::","IPv6SubnetMax":"fd00:0:0:3::","Backend":{"Type":"vxlan"}}"#
private let wide =
    #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}}"#
private let ipv6Only =
    #"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}}"#

private func store(_ config: String) -> MemoryStore {
    let store = MemoryStore()
    store.setConfig(config)
    return store
}

private func dualHost(_ number: UInt8, _ store: any SubnetStore, previous: String? = nil) -> RunningRegistry {
    RunningRegistry(
        store, publicIP: IPv4Address(172, 30, 0, number), publicIPv6: IPv6Address("2001:db8::\(number)"),
        previous: previous.flatMap(SubnetKey.init))
}

private func value(_ number: UInt8) -> String {
    #"{"PublicIP":"172.30.0.\#(number)","PublicIPv6":"2001:db8::\#(number)","BackendType":"vxlan"}"#
}

private func ipv4Value(_ number: UInt8) -> String {
    #"{"PublicIP":"172.30.0.\#(number)","PublicIPv6":null,"BackendType":"vxlan"}"#
}

/// Each holds a lease, none overlaps another, each follows all others, and none ever spoke of a subnet that it had to give
/// up again.
private func checkDisjoint(_ hosts: [RunningRegistry]) async throws {
    var keys: [SubnetKey] = []
    for host in hosts { keys.append(try await host.acquired().key) }
    for (index, key) in keys.enumerated() {
        for other in keys[..<index] { #expect(!key.overlaps(other), "\(key) and \(other)") }
    }
    for (index, host) in hosts.enumerated() {
        let others = Set(keys).subtracting([keys[index]])
        try await host.until("each follows all others") { Set($0.peers.keys) == others }
        let now = host.now
        #expect(now.lost.isEmpty && Set(now.updates.compactMap(\.ownLease?.key)) == [keys[index]])
    }
}

/// Keys of two families: hosts that start at the same moment may pick the same IPv4 subnet with different IPv6 ones, and
/// the registry takes both.
@Suite(.timeLimit(.minutes(10))) struct DualStackTests {
    @Test func twoThatStartTogetherEndApart() async throws {
        var races = 0
        for _ in 0..<200 {
            let store = store(narrow)
            let hosts = [dualHost(1, store), dualHost(2, store)]
            try await checkDisjoint(hosts)
            races += hosts.contains { $0.now.log.contains { $0.contains("another host was faster") } } ? 1 : 0
            for host in hosts { await host.stop() }
            #expect(store.records.count == 2, "what was given up is deleted")
        }
        print("  \(races) of 200 rounds had both try the same subnet")
    }

    @Test func thirtyShareThirtySubnets() async throws {
        let store = store(
            #"{"Network":"10.5.0.0/19","SubnetLen":24,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.30.0","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetMin":"fd00:0:0:1::","IPv6SubnetMax":"fd00:0:0:1e::","Backend":{"Type":"vxlan"}}"#
        )
        let hosts = (1...30).map { dualHost($0, store) }
        try await checkDisjoint(hosts)
        for host in hosts { await host.stop() }
        #expect(store.records.count == 30)
    }

    /// The other's key was made between this host's list and its create.
    @Test func whoWasSecondYieldsBeforeAnythingIsPublished() async throws {
        let store = store(narrow)
        store.state.withLock { state in
            state.afterSnapshot = { state in
                for number in 0..<3 {
                    _ = state.put(
                        "10.5.\(number).0-24&fd00:0:0:\(number)::-64", Array(value(UInt8(50 + number)).utf8),
                        isReservation: false)
                }
            }
        }
        let host = dualHost(1, store)
        #expect(try await host.acquired().key.description == "10.5.3.0-24&fd00:0:0:3::-64")
        #expect(host.now.lost.isEmpty && store.records.count == 4)
        await host.stop()
    }

    /// A key of two families is certain when the watch tells of it. One that is opened after the create hears of it only
    /// up to 100 ms later, which was most of a start's time.
    @Test func theWatchIsOpenBeforeTheCreate() async throws {
        let store = store(wide)
        store.state.withLock { $0.createsWaitForWatch = true }
        let host = dualHost(1, store)
        _ = try await host.acquired()
        #expect(store.state.withLock { $0.creates == 1 && $0.sessions == 1 })
        await host.stop()
    }

    @Test func aNewcomerThrowsNobodyOut() async throws {
        let store = store(wide)
        let host = dualHost(1, store, previous: "10.5.7.0-24&fd00:0:0:7::-64")
        let own = try await host.acquired()
        store.put("10.5.7.0-24&fd00:0:0:8::-64", value(8))
        store.put("10.5.7.0-25&fd00:0:0:9::-64", value(9), isReservation: true)
        store.put("10.5.20.0-24&fd00:0:0:14::-64", value(20))
        try await host.until("the good one is followed") { $0.peers.count == 1 }
        #expect(host.now.own == own && host.now.rejections.count == 2 && host.now.lost.isEmpty)
        await host.stop()
        let again = dualHost(1, store)
        #expect(try await again.acquired().key == own.key)
        await again.stop()
    }

    /// A copied --public-ipv6 is a mistake, and no reason to delete the lease of a host that runs.
    @Test func aSharedPublicIPv6DeletesNobody() async throws {
        let store = store(wide)
        let other = "10.5.7.0-24&fd00:0:0:7::-64"
        store.put(other, #"{"PublicIP":"172.30.0.9","PublicIPv6":"2001:db8::2","BackendType":"vxlan"}"#)
        // A host that has no other address than this one can only be an earlier self.
        store.put("fd00:0:0:6::-64", #"{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::2","BackendType":"vxlan"}"#)
        let host = dualHost(2, store)
        _ = try await host.acquired()
        try await eventually("its own former lease is deleted") { store.records["fd00:0:0:6::-64"] == nil }
        store.put("10.5.8.0-24&fd00:0:0:8::-64", value(8))
        try await host.until("a later lease is followed") { $0.peers.count == 1 }
        #expect(store.records[other] != nil)
        await host.stop()
    }

    /// A renewal that watchers are not told of changes the revision that the old key's end depends on.
    @Test func movesAfterASilentRenewal() async throws {
        let store = MemoryStore(leaseTimeToLive: .seconds(3601))
        store.setConfig(#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#)
        store.state.withLock { $0.renewalsChangeRevision = true }
        let host = dualHost(1, store)
        let old = try await host.acquired()
        try await eventually("it is renewed") { store.state.withLock { $0.renewals > 0 } }
        store.setConfig(wide)
        try await host.until("it holds a key of two families") { $0.own?.key.ipv6 != nil }
        #expect(host.now.own?.key.ipv4 == old.key.ipv4)
        try await eventually("the old key is deleted") { store.records[old.key.description] == nil }
        #expect(store.state.withLock { $0.snapshots } == 1, "and no new list was needed")
        await host.stop()
    }

    /// An older key of another length comes to light while the host runs, as after a restore.
    @Test func anOlderOverlappingKeyIsYieldedTo() async throws {
        let store = store(wide)
        let host = dualHost(1, store, previous: "10.5.7.0-24&fd00:0:0:7::-64")
        let own = try await host.acquired()
        store.setUnavailable(true)
        let older = LeaseRecord(
            name: "10.5.6.0-23&fd00:0:0:77::-64", value: Array(value(6).utf8), createRevision: 1, modRevision: 1,
            isReservation: false)
        store.state.withLock { $0.records[older.name] = older }
        store.setUnavailable(false)
        try await host.until("another subnet is held") { $0.own?.key != own.key }
        let now = host.now
        #expect(now.lost == [try #require(SubnetKey("10.5.7.0-24"))])
        #expect(now.own?.key.ipv6 == own.key.ipv6, "the family that nobody else has is kept")
        #expect(now.log.contains { $0.hasPrefix("error") && $0.contains(older.name) && $0.contains("172.30.0.6") })
        try await eventually("the old key is deleted") { store.records[own.key.description] == nil }
        #expect(store.records[older.name] == older)
        await host.stop()
    }

    /// Our key is deleted, and before it is there again another host takes one that overlaps it.
    @Test func aDeletedKeyThatAnotherOverlapsIsNotTakenAgain() async throws {
        let store = store(wide)
        let host = dualHost(1, store, previous: "10.5.7.0-24&fd00:0:0:7::-64")
        let own = try await host.acquired()
        store.put("10.5.7.0-24&fd00:0:0:8::-64", value(8))
        try await host.until("the newcomer is ignored") { !$0.rejections.isEmpty }
        store.remove(own.key.description)
        try await host.until("another subnet is held") { $0.own?.key != own.key }
        #expect(host.now.peers.count == 1 && store.records[own.key.description] == nil)
        await host.stop()
    }

    @Test func reservationsOfBothFamiliesAreUsed() async throws {
        let store = store(wide)
        store.put("10.5.42.0-24&fd00:0:0:42::-64", value(1), isReservation: true)
        store.put("10.5.43.0-24", ipv4Value(2), isReservation: true)
        let both = dualHost(1, store)
        let single = dualHost(2, store)
        #expect(try await both.acquired().key.description == "10.5.42.0-24&fd00:0:0:42::-64")
        #expect(try await single.acquired().key.description == "10.5.43.0-24")
        #expect(single.now.log.contains { $0.hasPrefix("error") && $0.contains("lacks a family") })
        #expect(store.records.count == 2 && store.records.values.allSatisfy(\.isReservation))
        for host in [both, single] { await host.stop() }
    }

    // Moving between one family and two.

    @Test(arguments: [false, true])
    func moveToDualStackKeepsTheIPv4Subnet(whileRunning: Bool) async throws {
        let store = store(networkConfig)
        let first = dualHost(1, store, previous: "10.5.7.0-24")
        let peer = dualHost(2, store, previous: "10.5.8.0-24")
        try await first.acquired()
        try await first.until("the peer is followed") { $0.peers.count == 1 }
        if !whileRunning { await first.stop() }
        store.setConfig(wide)
        let moved = whileRunning ? first : dualHost(1, store)
        try await moved.until("an IPv6 subnet is there") { $0.own?.key.ipv6 != nil }
        let key = try #require(moved.now.own?.key)
        #expect(key.ipv4 == IPv4Prefix("10.5.7.0/24") && moved.now.lost.isEmpty)
        try await peer.until("the peer has the new key") { state in
            state.own?.key.ipv6 != nil && Set(state.peers.keys) == [key]
        }
        #expect(Set(store.records.keys) == Set([key, peer.now.own?.key].compactMap { $0?.description }))
        // Not for a moment without the one or the other.
        #expect(
            peer.now.updates.allSatisfy { update in
                update.changes.removed.isEmpty || update.changes.updated.keys.contains(key)
            })
        // And back.
        store.setConfig(networkConfig)
        for host in [moved, peer] {
            try await host.until("IPv4 alone") { state in
                state.own?.key.ipv6 == nil && state.peers.keys.allSatisfy { $0.ipv6 == nil }
            }
        }
        #expect(Set(store.records.keys) == ["10.5.7.0-24", "10.5.8.0-24"])
        for host in [moved, peer] { await host.stop() }
    }

    @Test func thirtyMoveToDualStackTogether() async throws {
        let store = store(networkConfig)
        let hosts = (1...30).map { dualHost($0, store) }
        for host in hosts { try await host.until("all are there") { $0.peers.count == 29 } }
        let before = hosts.compactMap { $0.now.own?.key.ipv4 }
        store.setConfig(
            #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetMin":"fd00:0:0:1::","IPv6SubnetMax":"fd00:0:0:1e::","Backend":{"Type":"vxlan"}}"#
        )
        for host in hosts {
            try await host.until("all have moved") { state in
                state.own?.key.ipv6 != nil && state.peers.count == 29
                    && state.peers.keys.allSatisfy { $0.ipv6 != nil }
            }
        }
        #expect(hosts.compactMap { $0.now.own?.key.ipv4 } == before)
        #expect(Set(hosts.compactMap { $0.now.own?.key.ipv6 }).count == 30)
        #expect(hosts.allSatisfy { $0.now.lost.isEmpty } && store.records.count == 30)
        for host in hosts { await host.stop() }
    }

    @Test func dualStackIsRefusedWhereTheHostHasNoIPv6() async throws {
        let store = store(networkConfig)
        let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
        let own = try await host.acquired()
        store.setConfig(wide)
        try await host.until("it is said") { state in state.log.contains { $0.contains("no IPv6 address") } }
        #expect(host.now.own == own && host.now.config?.ipv6 == nil)
        await host.stop()
    }

    @Test func crashBetweenTheTwoKeysIsPutRight() async throws {
        let store = store(wide)
        store.put("10.5.7.0-24", ipv4Value(1))
        store.put("10.5.7.0-24&fd00:0:0:7::-64", value(1))
        let host = dualHost(1, store)
        #expect(try await host.acquired().key.description == "10.5.7.0-24&fd00:0:0:7::-64")
        try await eventually("the old key is deleted") { store.records.count == 1 }
        await host.stop()
    }

    // IPv6 alone.

    @Test(arguments: ["fd00:0:0:7::-64", "0.0.0.0-0&fd00:0:0:7::-64"])
    func ipv6OnlyLeaseIsFoundByItsAddress(name: String) async throws {
        let store = store(ipv6Only)
        store.put(name, #"{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::1","BackendType":"vxlan"}"#)
        store.put(
            "0.0.0.0-0&fd00:0:0:8::-64", #"{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::8","BackendType":"vxlan"}"#)
        let host = dualHost(1, store)
        #expect(try await host.acquired().key.description == name)
        try await host.until("the peer is followed") { $0.peers.count == 1 }
        #expect(store.records.count == 2)
        await host.stop()
    }
}

/// A peer's lease that is deleted by mistake is back within milliseconds, and nobody notices.
@Suite(.timeLimit(.minutes(10))) struct RemovalGraceTests {
    @Test func aLeaseThatIsTakenAgainWasNeverGone() async throws {
        let store = store(networkConfig)
        let peer = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 2))
        let key = try await peer.acquired().key
        let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
        try await host.until("the peer is followed") { $0.peers.count == 1 }
        for _ in 0..<5 {
            store.remove(key.description)
            try await eventually("it is there again") { store.records[key.description] != nil }
        }
        // A cut, in which it is deleted and not seen to come again.
        store.setUnavailable(true)
        store.state.withLock { $0.records[key.description] = nil }
        store.setUnavailable(false)
        try await eventually("it is there again") { store.records[key.description] != nil }
        try await host.until("the last is known") {
            $0.peers[key]?.createRevision == store.records[key.description]?.createRevision
        }
        #expect(host.now.updates.allSatisfy { !$0.changes.removed.contains(key) })
        for host in [host, peer] { await host.stop() }
    }

    @Test func oneThatStaysAwayGoesAfterAWhile() async throws {
        let store = store(networkConfig)
        store.put("10.5.8.0-24", ipv4Value(8))
        let host = RunningRegistry(
            store, publicIP: IPv4Address(172, 30, 0, 1), previous: SubnetKey("10.5.7.0-24"),
            removalGrace: .milliseconds(300))
        try await host.until("the peer is followed") { $0.peers.count == 1 }
        try await eventually("it watches") { store.state.withLock { $0.watches.count } == 1 }
        let start = ContinuousClock.now
        store.remove("10.5.8.0-24")
        try await host.until("it is gone") { $0.peers.isEmpty }
        #expect(ContinuousClock.now - start >= .milliseconds(300), "it was kept")
        await host.stop()
    }

    @Test func anotherLeaseTakesItsPlaceAtOnce() async throws {
        let store = store(networkConfig)
        store.put("10.5.8.0-24", ipv4Value(8))
        let host = RunningRegistry(
            store, publicIP: IPv4Address(172, 30, 0, 1), previous: SubnetKey("10.5.7.0-24"),
            removalGrace: .seconds(3600))
        try await host.until("the peer is followed") { $0.peers.count == 1 }
        store.remove("10.5.8.0-24")
        store.put("10.5.8.0-25", ipv4Value(9))
        try await host.until("it is the other's") { $0.peers.keys.map(\.description) == ["10.5.8.0-25"] }
        await host.stop()
    }
}
