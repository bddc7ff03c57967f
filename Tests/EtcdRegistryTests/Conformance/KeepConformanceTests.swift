import EtcdRegistry
import IPNetwork
import Leases
import Testing

extension RegistryConformanceTests {
    /// Keeping the lease, whatever others do to its key.
    @Suite struct KeepTests {
        /// A host that holds a lease.
        private func acquired(_ kind: StoreKind) async throws -> (RegistryBed, RunningRegistry, Lease) {
            let bed = try await RegistryBed(kind)
            let host = bed.host()
            return (bed, host, try await host.acquired())
        }

        private func cutOff(_ host: RunningRegistry, _ bed: RegistryBed) async throws {
            bed.setReachable(false)
            try await host.until("the outage is noticed") { $0.condition != .connected }
        }

        @Test(arguments: StoreKind.available)
        func deletedKeyIsClaimedAgain(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            for _ in 0..<3 {
                try bed.remove(own.key.description)
                try await eventually("it is there again") { try await bed.records()[own.key.description] != nil }
            }
            #expect(host.now.own?.key == own.key && host.now.lost.isEmpty)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func keyDeletedWithAllTheOthersIsClaimedAgain(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            for host in 34...40 { try bed.put("10.5.\(host).0-24", leaseValue(host)) }
            let host = bed.host(previous: "10.5.7.0-24")
            try await host.acquired()
            #expect(host.now.peers.count == 7)
            try await bed.removeAll()
            try await host.until("the peers are gone") { $0.peers.isEmpty }
            try await eventually("it is there again") { try await bed.records().keys.sorted() == ["10.5.7.0-24"] }
            try bed.put("10.5.34.0-24", leaseValue(34))
            try await host.until("what comes then is followed") { $0.peers.count == 1 }
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func takenKeyIsGivenUp(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            try bed.put(own.key.description, vxlanValue("172.30.0.66"))
            try await host.until("another subnet is leased") { $0.own?.key != own.key && $0.own != nil }
            #expect(host.now.lost == [own.key])
            #expect(host.now.peers[own.key]?.attributes.publicIP == IPv4Address(172, 30, 0, 66))
            #expect(host.now.log.contains { $0.hasPrefix("error") && $0.contains("172.30.0.66") })
            #expect(try await bed.value(own.key.description) == vxlanValue("172.30.0.66"), "it is not fought over")
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func keyTakenDuringAnOutageIsGivenUp(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            try await cutOff(host, bed)
            try bed.remove(own.key.description)
            try bed.put(own.key.description, vxlanValue("172.30.0.66"))
            bed.setReachable(true)
            try await host.until("another subnet is leased") { $0.own?.key != own.key && $0.lost == [own.key] }
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func keyThatEndedDuringAnOutageIsClaimedAgain(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            try await cutOff(host, bed)
            try bed.remove(own.key.description)
            bed.setReachable(true)
            try await eventually("the same subnet is leased again") {
                try await bed.value(own.key.description)?.contains("172.30.0.1") == true
            }
            #expect(host.now.own?.key == own.key && host.now.lost.isEmpty)
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func leaseExpiredWhileCutOffIsClaimedAgain(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind, ttl: .seconds(2))
            let host = bed.host(renewMargin: .seconds(1))
            let own = try await host.acquired()
            bed.setReachable(false)
            try await eventually("it has ended") { try await bed.records().isEmpty }
            bed.setReachable(true)
            try await eventually("the same subnet is leased again") {
                try await bed.records()[own.key.description] != nil
            }
            #expect(host.now.own?.key == own.key)
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func renewsBeforeTheEnd(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind, ttl: .seconds(60))
            let host = bed.host(renewMargin: .seconds(59))
            let own = try await host.acquired()
            let first = try #require(try await bed.records()[own.key.description])
            try await eventually("it was renewed often") { host.now.log.count { $0.contains("lease renewed") } >= 4 }
            let last = try #require(try await bed.records()[own.key.description])
            #expect(last.value == first.value && last.createRevision == first.createRevision && !last.isReservation)
            #expect(!host.now.log.contains { $0.contains("gone") })
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func renewalByAnotherDaemonIsAccepted(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            try bed.put(own.key.description, vxlanValue("172.30.0.1"))
            try bed.remove(own.key.description)
            try await eventually("the deletion after it is answered too") {
                try await bed.records()[own.key.description] != nil
            }
            #expect(host.now.own?.key == own.key)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func sharedPublicIPIsSaidAndNotFoughtOver(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            let theirs = vxlanValue("172.30.0.1", #","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:66"}"#)
            for _ in 0..<5 { try bed.put(own.key.description, theirs) }
            try await host.until("it is said") { state in
                state.log.contains { $0.hasPrefix("error") && $0.contains("--public-ip") }
            }
            #expect(try await bed.value(own.key.description) == theirs)
            #expect(host.now.own?.key == own.key)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func equalWritesAgainAndAgainAreSaid(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            let host = bed.host(previous: "10.5.200.0-24")
            let own = try await host.acquired()
            for _ in 0..<2 { try bed.put(own.key.description, vxlanValue("172.30.0.1")) }
            try bed.put("10.5.8.0-24", leaseValue(8))
            try await host.until("both have come") { $0.peers.count == 1 }
            #expect(!host.now.log.contains { $0.contains("--public-ip") }, "a stock daemon's start and a swap")
            try bed.put(own.key.description, vxlanValue("172.30.0.1"))
            try await host.until("it is said") { state in
                state.log.contains { $0.hasPrefix("error") && $0.contains("--public-ip") }
            }
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func newPublicAddressIsPublished(_ kind: StoreKind) async throws {
            let (bed, host, own) = try await acquired(kind)
            let moved = IPv4Address(172, 30, 0, 2)
            await host.move(to: moved)
            try await host.until("it is published") { $0.own?.attributes.publicIP == moved }
            #expect(host.now.own?.key == own.key)
            let record = try await bed.records()[own.key.description]
            #expect(record?.text == vxlanValue("172.30.0.2") && record?.isReservation == false)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func aDeadHostsLeaseWithOurNewAddressIsDeleted(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.8.0-24", vxlanValue("172.30.0.2"))
            try bed.put("10.5.9.0-24", vxlanValue("172.30.0.2"), isReservation: true)
            let host = bed.host(previous: "10.5.7.0-24")
            try await host.acquired()
            await host.move(to: IPv4Address(172, 30, 0, 2))
            try await eventually("the other is deleted") { try await bed.records()["10.5.8.0-24"] == nil }
            #expect(try await bed.value("10.5.7.0-24") == vxlanValue("172.30.0.2"))
            #expect(try await bed.records()["10.5.9.0-24"] != nil, "a reservation is an operator's")
            try await host.until("the reservation is named") { state in
                state.log.contains { $0.hasPrefix("error") && $0.contains("10.5.9.0-24") }
            }
            await host.stop()
        }

        /// v2 takes a blind write for a new key; the verdict on two leases in conflict must not turn on it.
        @Test(arguments: StoreKind.available)
        func theOlderOfTwoInConflictStaysTheOlderWhenItIsWrittenAgain(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.34.0-24", leaseValue(34))
            try bed.put("10.5.34.0-25", leaseValue(35))
            let host = bed.host(previous: "10.5.7.0-24")
            try await host.acquired()
            #expect(host.now.peers.keys.map(\.description) == ["10.5.34.0-24"])
            for _ in 0..<2 { try bed.put("10.5.34.0-24", leaseValue(34)) }
            try bed.put("10.5.36.0-24", leaseValue(36))
            try await host.until("what came after it is there") { $0.peers.count == 2 }
            #expect(host.now.peers.keys.map(\.description).sorted() == ["10.5.34.0-24", "10.5.36.0-24"])
            #expect(host.now.rejections.map(\.name) == ["10.5.34.0-25"])
            // A new list says the same.
            try await cutOff(host, bed)
            try bed.put("10.5.37.0-24", leaseValue(37))
            bed.setReachable(true)
            try await host.until("the list is there") { $0.peers.count == 3 }
            #expect(host.now.rejections.map(\.name) == ["10.5.34.0-25"])
            // And when it is written while nobody watches.
            try await cutOff(host, bed)
            try bed.put("10.5.34.0-24", leaseValue(34))
            try bed.put("10.5.38.0-24", leaseValue(38))
            bed.setReachable(true)
            try await host.until("the next list is there") { $0.peers.count == 4 }
            #expect(host.now.rejections.map(\.name) == ["10.5.34.0-25"])
            await host.stop()
        }
    }
}
