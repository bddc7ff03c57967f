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
@Suite(.timeLimit(.minutes(10))) struct RegistryFaultTests {
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

}
