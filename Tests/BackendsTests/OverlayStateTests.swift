import IPNetwork
import KernelState
import Leases
import Testing

@testable import Backends

/// Following changes one by one gives the same state as building it at once.
@Suite struct OverlayStateTests {
    func peer(_ subnet: Int, host: Int, mac: Int, created: Int64) throws -> Lease {
        let address = "\(MACAddress(rawValue: 0x0200_0000_0000 | UInt64(mac)))"
        return try BackendTests.lease(
            "10.5.\(subnet).0-24",
            #"{"PublicIP":"172.30.0.\#(host)","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"\#(address)"}}"#,
            created: created)
    }

    @Test func followingChangesEqualsBuildingAnew() throws {
        var generator = SeededGenerator(seed: 7)
        var overlay = try BackendTests.state(BackendTests.cases[0].config, own: "10.5.200.0-24", [])
        var desired = overlay.desired
        var peers: [SubnetKey: Lease] = [:]
        for revision in 1...2_000 {
            var changes = LeaseChanges()
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let subnet = Int.random(in: 1...12, using: &generator)
                // Few MACs, so that leases get in each other's way.
                let lease = try peer(
                    subnet, host: Int.random(in: 12...20, using: &generator),
                    mac: Int.random(in: 1...9, using: &generator), created: Int64(revision))
                if Bool.random(using: &generator) {
                    changes.update(lease)
                } else {
                    changes.remove(lease.key)
                }
            }
            for key in changes.removed { peers[key] = nil }
            peers.merge(changes.updated) { $1 }
            desired.apply(overlay.apply(changes))
            #expect(desired == overlay.desired, "the steps lead to the state")
            let served = peers.keys.filter { overlay.refusals[$0] == nil }
            #expect(overlay.desired.routes.count == served.count)
            #expect(overlay.desired.fdb.count == served.count, "no entry is shared")
        }
        let all = LeaseChanges(removed: Set(peers.keys))
        desired.apply(overlay.apply(all))
        #expect(overlay.refusals.isEmpty)
        #expect(desired.routes.isEmpty && desired.neighbours.isEmpty && desired.fdb.isEmpty)
        #expect(desired.links.count == 1)
    }

    @Test func aRefusedPeerIsServedWhenTheOtherGoes() throws {
        let first = try peer(1, host: 12, mac: 1, created: 1)
        let second = try peer(2, host: 13, mac: 1, created: 2)
        var overlay = try BackendTests.state(BackendTests.cases[0].config, own: "10.5.200.0-24", [second, first])
        #expect(Array(overlay.refusals.keys) == [second.key])
        _ = overlay.apply(LeaseChanges(removed: [first.key]))
        #expect(overlay.refusals.isEmpty)
        #expect(overlay.desired.routes.keys.map(\.destination.description) == ["10.5.2.0/24"])
    }

    /// Whichever comes first, the older lease is served, so that all hosts agree.
    @Test func theOlderLeaseWinsThoughItComesLater() throws {
        let older = try peer(1, host: 12, mac: 1, created: 1)
        let newer = try peer(2, host: 13, mac: 1, created: 2)
        var overlay = try BackendTests.state(BackendTests.cases[0].config, own: "10.5.200.0-24", [newer])
        var desired = overlay.desired
        desired.apply(overlay.apply(LeaseChanges(updated: [older.key: older])))
        #expect(Array(overlay.refusals.keys) == [newer.key])
        #expect(desired == overlay.desired)
        #expect(desired.routes.keys.map(\.destination.description) == ["10.5.1.0/24"])
    }

    @Test func aPeerThatMovesHostChangesTwoEntries() throws {
        var overlay = try BackendTests.state(
            BackendTests.cases[0].config, own: "10.5.200.0-24", [try peer(1, host: 12, mac: 1, created: 1)])
        let before = overlay.desired
        _ = overlay.apply(LeaseChanges(updated: [SubnetKey("10.5.1.0-24")!: try peer(1, host: 13, mac: 2, created: 1)]))
        #expect(before.routes == overlay.desired.routes)
        #expect(before.neighbours.keys == overlay.desired.neighbours.keys)
        #expect(before.fdb != overlay.desired.fdb)
    }
}

/// The same numbers in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
