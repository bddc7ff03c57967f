import IPNetwork
import Leases
import Testing

@testable import EtcdRegistry

private let ours = IPv4Address(172, 30, 0, 1)

private func value(_ publicIP: String, _ extra: String = "") -> String {
    #"{"PublicIP":"\#(publicIP)","PublicIPv6":null,"BackendType":"vxlan"\#(extra)}"#
}

private func store(_ config: String = networkConfig) -> MemoryStore {
    let store = MemoryStore()
    store.setConfig(config)
    return store
}

private func watching(_ store: MemoryStore) async throws {
    try await eventually("it watches") { store.state.withLock { $0.watches.count } == 1 }
}

/// What becomes of this host's lease when writes fail, answers get lost, and others use its PublicIP.
@Suite(.timeLimit(.minutes(10))) struct OwnLeaseTests {
    @Test(arguments: [StoreError.Kind.noSpace, .permissionDenied, .refused])
    func peersAreFollowedWhileNothingCanBeWritten(_ kind: StoreError.Kind) async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        try await watching(store)
        // The host's own subnet is drawn at random.
        let free = (1...4).map { "10.5.\($0).0-24" }.filter { $0 != own.key.description }
        store.state.withLock { $0.writesFail = StoreError(kind, cause: "memory: no writes") }
        store.remove(own.key.description)
        store.put(free[0], value("172.30.0.8"))
        try await host.until("a peer that came with it arrives") { $0.peers.count == 1 }
        store.setUnavailable(true)
        store.put(free[1], value("172.30.0.9"))
        store.setUnavailable(false)
        try await host.until("a peer of the next list arrives") { $0.peers.count == 2 && $0.condition == .connected }
        let sessions = store.state.withLock { $0.sessions }
        store.put(free[2], value("172.30.0.10"))
        try await host.until("and the one after it") { $0.peers.count == 3 }
        #expect(store.state.withLock { $0.sessions } == sessions, "the session goes on")
        #expect(host.now.own == own)
        #expect(host.now.log.contains { $0.hasPrefix("error") && $0.contains("memory: no writes") })
        await host.stop()
    }

    @Test func goodLeaseIsUsedThoughItCannotBeWritten() async throws {
        let store = store()
        store.put("10.5.7.0-24", value("172.30.0.1"))
        store.state.withLock { $0.writesFail = StoreError(.noSpace, cause: "memory: no writes") }
        let host = RunningRegistry(store, publicIP: ours)
        #expect(try await host.acquired().key.description == "10.5.7.0-24")
        try await eventually("it is renewed") { store.state.withLock { $0.renewals } == 1 }
        await host.stop()
    }

    @Test func lostAnswerOfARewriteIsOurs() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        store.state.withLock { $0.losesAnswerOfNextWrite = true }
        let moved = IPv4Address(172, 30, 0, 2)
        await host.move(to: moved)
        try await host.until("it is published") { $0.own?.attributes.publicIP == moved }
        #expect(host.now.own?.key == own.key)
        #expect(!host.now.log.contains { $0.contains("overwritten") })
        await host.stop()
    }

    /// v2's renewals change the revision, as a foreign write does.
    @Test func lostAnswersOfRenewalsAreOurs() async throws {
        let store = store()
        store.state.withLock { $0.renewalsChangeRevision = true }
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        try await watching(store)
        store.state.withLock { $0.lostAnswersOfRenewals = 4 }
        // A stock daemon's start makes a renewal due.
        store.put(own.key.description, value("172.30.0.1"))
        try await eventually("the last is answered") { store.state.withLock { $0.renewals } == 5 }
        #expect(!host.now.log.contains { $0.contains("--public-ip") })
        // What others write counts all the same.
        for number in 1...2 {
            store.put(own.key.description, value("172.30.0.1"))
            try await eventually("it is renewed") { store.state.withLock { $0.renewals } == 5 + number }
        }
        try await host.until("it is said") { $0.log.contains { $0.contains("--public-ip") } }
        await host.stop()
    }

    @Test func aRewriteThatMeetsTheOldValueIsMadeAtOnce() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        await host.stop()
        // A renewal by a stock daemon between the list and the write.
        store.state.withLock { state in
            state.afterSnapshot = {
                _ = $0.put(own.key.description, Array(value("172.30.0.1").utf8), isReservation: false)
            }
        }
        await host.move(to: IPv4Address(172, 30, 0, 2))
        try await eventually("it is written") { store.records[own.key.description]?.text == value("172.30.0.2") }
        #expect(!host.now.log.contains { $0.contains("overwritten") })
        await host.stop()
    }

    @Test func anOverwrittenLeaseIsRenewed() async throws {
        let store = store()
        let host = RunningRegistry(store, publicIP: ours)
        let own = try await host.acquired()
        try await watching(store)
        store.put(own.key.description, value("172.30.0.1", #","BackendData":{"VNI":1}"#))
        try await eventually("its time to live is seen to") { store.state.withLock { $0.renewals } == 1 }
        await host.stop()
    }

    @Test func unusableConfigIsSaidAndLeftAlone() async throws {
        let store = store(#"{"Network":"10.5.0.0/16","Backend":{"Type":"unusable"}}"#)
        let host = RunningRegistry(store, publicIP: ours)
        try await host.until("it is said") {
            if case .configUnusable(let cause) = $0.condition { cause.contains("no such backend") } else { false }
        }
        try await watching(store)
        #expect(store.state.withLock { $0.sessions == 1 && $0.snapshots == 1 && !$0.isPrepared })
        store.setConfig(networkConfig)
        try await host.acquired()
        #expect(host.now.condition == .connected && host.now.failure == nil)
        await host.stop()
    }

}
