import EtcdRegistry
import IPNetwork
import Leases
import Testing

private let ours = IPv4Address(172, 30, 0, 1)

private func value(_ publicIP: String, _ extra: String = "") -> String {
    #"{"PublicIP":"\#(publicIP)","PublicIPv6":null,"BackendType":"vxlan"\#(extra)}"#
}

private func store(config: String? = networkConfig, endpoints: [String] = ["memory"]) -> MemoryStore {
    let store = MemoryStore(endpoints: endpoints)
    if let config { store.setConfig(config) }
    return store
}

/// The state machine under every fault that a registry can have.
@Suite(.timeLimit(.minutes(2))) struct RegistryFaultTests {
    // Getting a subnet.

    @Test func lostRaceTakesAnotherSubnet() async throws {
        let store = store()
        store.state.withLock { $0.rivals = 3 }
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        #expect(store.records[own.key.description]?.text == value("172.30.0.1"))
        #expect(host.now.updates.first?.changes.updated.count == 3, "the rivals are peers in the first update")
        await host.stop()
    }

    @Test func hopelessRaceGoesOnWithANewList() async throws {
        let store = store()
        store.state.withLock { $0.rivals = 25 }
        let host = RunningRegistry(store, publicIP: ours)
        try await host.acquired()
        #expect(store.state.withLock { $0.snapshots } >= 3)
        await host.stop()
    }

    @Test func reusesLeaseWithItsPublicIP() async throws {
        let store = store()
        store.put("10.5.7.0-24", value("172.30.0.1"))
        let before = try #require(store.records["10.5.7.0-24"])
        let host = RunningRegistry(store, publicIP: ours)
        #expect(try await host.acquired().key.description == "10.5.7.0-24")
        let after = try #require(store.records["10.5.7.0-24"])
        #expect(after.value == before.value && after.createRevision == before.createRevision)
        #expect(after.modRevision > before.modRevision, "another host with this PublicIP gets to know")
        await host.stop()
    }

    @Test func reservationIsFilledInAndStaysWithoutTimeToLive() async throws {
        let store = store()
        store.put("10.5.7.0-24", #"{"PublicIP":"172.30.0.1"}"#, isReservation: true)
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        #expect(own.isReservation && own.attributes.backendType == "vxlan")
        #expect(store.records["10.5.7.0-24"]?.isReservation == true)
        #expect(store.state.withLock { $0.renewals } == 0)
        await host.stop()
    }

    @Test func leaseOutsideTheConfigIsReplaced() async throws {
        let store = store()
        store.put("10.9.7.0-24", value("172.30.0.1"))
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        #expect(own.key.ipv4.map { IPv4Prefix("10.5.0.0/16")?.contains($0) } == true)
        #expect(store.records["10.9.7.0-24"] == nil)
        #expect(host.now.log.contains { $0.contains("does not fit the network config") })
        await host.stop()
    }

    @Test(arguments: [("10.5.7.0-24", true), ("10.9.7.0-24", false), ("10.5.8.0-24", false)])
    func previousSubnetIsTakenIfFreeAndAdmitted(_ name: String, _ isTaken: Bool) async throws {
        let store = store()
        store.put("10.5.8.0-24", value("172.30.0.8"))
        let previous = try #require(SubnetKey(name))
        let host = RunningRegistry(store, publicIP: ours, previous: previous)
        #expect((try await host.acquired().key == previous) == isTaken)
        await host.stop()
    }

    @Test func fullRangeIsSaidAndRetriedWhenASubnetFrees() async throws {
        let store = store(config: #"{"Network":"10.5.0.0/22","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#)
        for third in 0...3 { store.put("10.5.\(third).0-24", value("172.30.0.10\(third)")) }
        let host = RunningRegistry(store, publicIP: ours)
        try await host.until("it says so") {
            if case .unavailable(let cause) = $0.condition { cause.contains("no subnet is free") } else { false }
        }
        #expect(host.now.own == nil)
        try await eventually("what a create needs is not kept for it") { !store.state.withLock { $0.isPrepared } }
        store.remove("10.5.2.0-24")
        #expect(try await host.acquired().key.description == "10.5.2.0-24")
        #expect(host.now.peers.count == 3)
        #expect(host.now.condition == .connected)
        await host.stop()
    }

    @Test func lostAnswerOfCreateIsFoundByTheList() async throws {
        let store = store()
        store.state.withLock { $0.losesAnswerOfNextCreate = true }
        let host = RunningRegistry(store, publicIP: ours)
        try await host.acquired()
        #expect(store.records.count == 1 && store.state.withLock { $0.creates } == 1)
        await host.stop()
    }

    // The config.

    @Test func waitsForConfig() async throws {
        let store = store(config: nil)
        store.put("10.5.8.0-24", value("172.30.0.8"))
        let host = RunningRegistry(store, publicIP: ours)
        try await host.until("it says what is missing") {
            if case .unavailable(let cause) = $0.condition { cause.contains("put /memory/config") } else { false }
        }
        store.setConfig(#"{"Network":"10.5.0.0/16","SubnetLen":"x"}"#)
        try await host.until("it says what is wrong") {
            if case .unavailable(let cause) = $0.condition { cause.contains("SubnetLen") } else { false }
        }
        store.setConfig(networkConfig)
        try await host.acquired()
        #expect(host.now.peers.count == 1 && host.now.condition == .connected)
        await host.stop()
    }

    @Test func keepsTheLastGoodConfig() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours, previous: SubnetKey("10.5.7.0-24"))
        try await host.acquired()
        let first = host.now.config
        store.setConfig("nonsense")
        store.setConfig(nil)
        store.setConfig(#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#)
        try await host.until("all three are refused") { state in
            ["not JSON", "no network config", "does not fit"].allSatisfy { text in
                state.log.contains { $0.contains(text) }
            }
        }
        #expect(host.now.config == first && host.now.own?.key.description == "10.5.7.0-24")
        store.setConfig(#"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#)
        try await host.until("a fitting one is taken, and the lease written") {
            $0.config?.backendType == "host-gw" && $0.own?.attributes.backendType == "host-gw"
        }
        await host.stop()
    }

    // The watch.

    @Test(arguments: [WatchEnd.compacted, .cancelled("test")])
    func endOfWatchLosesNothing(_ end: WatchEnd) async throws {
        let store = store()
        store.put("10.5.8.0-24", value("172.30.0.8"))
        store.put("10.5.9.0-24", value("172.30.0.9"))
        let host = RunningRegistry(store, publicIP: ours, previous: SubnetKey("10.5.200.0-24"))
        try await host.acquired()
        try await eventually("it watches") { store.state.withLock { $0.watches.count } == 1 }
        let seen = host.now.updates.count
        store.endWatches(.success(end))
        store.remove("10.5.8.0-24")
        store.put("10.5.10.0-24", value("172.30.0.10"))
        try await host.until("the difference arrives") {
            Set($0.peers.keys.map(\.description)) == ["10.5.9.0-24", "10.5.10.0-24"]
        }
        #expect(
            host.now.updates[seen...].allSatisfy {
                $0.changes.updated.keys.allSatisfy { $0.description == "10.5.10.0-24" }
            },
            "what was known is not published again")
        await host.stop()
    }

    @Test func duplicateEventsChangeNothing() async throws {
        let store = store()
        store.state.withLock { $0.duplicatesEvents = true }
        let host = RunningRegistry(store, publicIP: ours, previous: SubnetKey("10.5.200.0-24"))
        try await host.acquired()
        try await eventually("it watches") { store.state.withLock { $0.watches.count } == 1 }
        store.put("10.5.8.0-24", value("172.30.0.8"))
        store.remove("10.5.8.0-24")
        store.put("10.5.9.0-24", value("172.30.0.9"))
        try await host.until("the last arrives") { $0.peers.keys.map(\.description) == ["10.5.9.0-24"] }
        #expect(host.now.updates.filter { !$0.changes.isEmpty }.count == 3)
        await host.stop()
    }

    @Test func outageIsReportedOnceAndHealed() async throws {
        let store = store(endpoints: ["a", "b"])
        let host = RunningRegistry(store, publicIP: ours, previous: SubnetKey("10.5.200.0-24"))
        let own = try await host.acquired()
        store.setUnavailable(true)
        try await host.until("it is reported") { $0.condition != .connected }
        let sessions = store.state.withLock { $0.sessions }
        try await eventually("it goes on trying") { store.state.withLock { $0.sessions } > sessions + 4 }
        #expect(host.now.log.count { $0.hasPrefix("warning registry unavailable") } <= 3)
        // Meanwhile our lease ran out and a peer came.
        store.state.withLock { state in
            state.records = [:]
            _ = state.put("10.5.8.0-24", Array(value("172.30.0.8").utf8), isReservation: false)
        }
        store.setUnavailable(false)
        try await host.until("it is connected again") { $0.condition == .connected && $0.peers.count == 1 }
        #expect(store.records[own.key.description]?.text == value("172.30.0.1"), "the same subnet is leased again")
        await host.stop()
    }

    @Test func restoredBackupWithoutOurLease() async throws {
        let store = store()
        for number in 20..<40 { store.put("10.5.\(number).0-24", value("172.30.0.\(number)")) }
        let host = RunningRegistry(store, publicIP: ours, previous: SubnetKey("10.5.7.0-24"))
        try await host.acquired()
        try await eventually("it watches") { store.state.withLock { $0.watches.count } == 1 }
        store.restore(
            [
                LeaseRecord(
                    name: "10.5.20.0-24", value: Array(value("172.30.0.20").utf8), createRevision: 2, modRevision: 2,
                    isReservation: false)
            ], revision: 3)
        try await host.until("the backup's peers are the peers") { $0.peers.count == 1 }
        try await eventually("our lease is there again") { store.records["10.5.7.0-24"] != nil }
        await host.stop()
    }

    // Our own key.

    @Test func deletedKeyIsClaimedAgain() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        for _ in 0..<3 {
            store.remove(own.key.description)
            try await eventually("it is there again") { store.records[own.key.description] != nil }
        }
        #expect(host.now.own?.key == own.key && host.now.lost.isEmpty)
        await host.stop()
    }

    @Test func takenKeyIsGivenUp() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        store.put(own.key.description, value("172.30.0.66"))
        try await host.until("another subnet is leased") { $0.own?.key != own.key && $0.own != nil }
        #expect(host.now.lost == [own.key])
        #expect(host.now.peers[own.key]?.attributes.publicIP == IPv4Address(172, 30, 0, 66))
        #expect(host.now.log.contains { $0.hasPrefix("error") && $0.contains("172.30.0.66") })
        #expect(store.records[own.key.description]?.text == value("172.30.0.66"), "it is not fought over")
        await host.stop()
    }

    @Test func keyTakenDuringAnOutageIsGivenUp() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        store.setUnavailable(true)
        store.state.withLock {
            $0.remove(own.key.description)
            _ = $0.put(own.key.description, Array(value("172.30.0.66").utf8), isReservation: false)
        }
        store.setUnavailable(false)
        try await host.until("another subnet is leased") { $0.own?.key != own.key && $0.lost == [own.key] }
        await host.stop()
    }

    @Test func renewalByAnotherDaemonIsAccepted() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        store.put(own.key.description, value("172.30.0.1"))
        store.remove(own.key.description)
        try await eventually("the deletion after it is answered too") { store.records[own.key.description] != nil }
        #expect(host.now.own?.key == own.key)
        await host.stop()
    }

    @Test func sharedPublicIPIsSaidAndNotFoughtOver() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        let theirs = value("172.30.0.1", #","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:66"}"#)
        try await eventually("it watches") { store.state.withLock { $0.watches.count } == 1 }
        for _ in 0..<5 { store.put(own.key.description, theirs) }
        try await host.until("it is said") { state in
            state.log.contains { $0.hasPrefix("error") && $0.contains("--public-ip") }
        }
        #expect(store.state.withLock { $0.writes } == 0)
        #expect(host.now.own == own)
        await host.stop()
    }

    @Test func newPublicAddressIsPublished() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        let moved = IPv4Address(172, 30, 0, 2)
        await host.move(to: moved)
        try await host.until("it is published") { $0.own?.attributes.publicIP == moved }
        #expect(host.now.own?.key == own.key)
        #expect(store.records[own.key.description]?.text == value("172.30.0.2"))
        await host.stop()
    }

    @Test func malformedLeasesAreIgnoredAlone() async throws {
        let store = store()
        store.put("10.5.8.0-24", value("172.30.0.8"))
        store.put("nonsense", "{")
        store.put("10.7.8.0-24", value("172.30.0.9"))
        let host = RunningRegistry(store, publicIP: ours)
        try await host.acquired()
        #expect(host.now.peers.count == 1)
        #expect(host.now.rejections.map(\.name) == ["10.7.8.0-24", "nonsense"])
        await host.stop()
    }
}
