import EtcdRegistry
import IPNetwork
import Leases
import Testing

/// What a host relies on, whatever the registry: each case over every kind of it.
@Suite(.serialized, .timeLimit(.minutes(10))) enum RegistryConformanceTests {}

private let small = #"{"Network":"10.5.0.0/22","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#

extension RegistryConformanceTests {
    /// Getting a subnet, and the config.
    @Suite struct AcquireTests {
        @Test(arguments: StoreKind.available)
        func acquiresAndFollows(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.34.0-24", leaseValue(34))
            let host = bed.host()
            let own = try await host.acquired()
            #expect(host.now.updates.count == 1, "the first update is whole")
            #expect(host.now.peers.keys.map(\.description) == ["10.5.34.0-24"])
            #expect(host.now.condition == .connected)
            #expect(!own.isReservation)
            try bed.put("10.5.35.0-24", leaseValue(35))
            try bed.remove("10.5.34.0-24")
            try await host.until("the changes arrive") { $0.peers.keys.map(\.description) == ["10.5.35.0-24"] }
            await host.stop()
            let left = try await bed.records()[own.key.description]
            #expect(left?.text.contains(#""PublicIP":"172.30.0.1""#) == true, "stopping leaves the lease")
            #expect(left?.isReservation == false, "it has a time to live")
        }

        @Test(arguments: StoreKind.available)
        func reusesLeaseWithItsPublicIP(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.7.0-24", vxlanValue("172.30.0.1"))
            let before = try #require(try await bed.records()["10.5.7.0-24"])
            let host = bed.host()
            #expect(try await host.acquired().key.description == "10.5.7.0-24")
            let after = try #require(try await bed.records()["10.5.7.0-24"])
            #expect(after.value == before.value && after.createRevision == before.createRevision)
            #expect(after.modRevision > before.modRevision, "another host with this PublicIP gets to know")
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func reservationIsFilledInAndStaysWithoutTimeToLive(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.7.0-24", #"{"PublicIP":"172.30.0.1"}"#, isReservation: true)
            let host = bed.host()
            let own = try await host.acquired()
            #expect(own.isReservation && own.attributes.backendType == "vxlan")
            #expect(try await bed.records()["10.5.7.0-24"]?.isReservation == true)
            // Once more, from a new public address: the key is written again.
            await host.move(to: IPv4Address(172, 30, 0, 2))
            try await host.until("it is written") { $0.own?.attributes.publicIP == IPv4Address(172, 30, 0, 2) }
            #expect(try await bed.records()["10.5.7.0-24"]?.isReservation == true)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func leaseOutsideTheConfigIsReplaced(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.9.7.0-24", vxlanValue("172.30.0.1"))
            let host = bed.host()
            let own = try await host.acquired()
            #expect(own.key.ipv4.map { IPv4Prefix("10.5.0.0/16")?.contains($0) } == true)
            #expect(try await bed.records()["10.9.7.0-24"] == nil)
            #expect(host.now.log.contains { $0.contains("does not fit the network config") })
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func aReservationThatDoesNotFitIsLeftToItsOperator(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.9.7.0-24", vxlanValue("172.30.0.1"), isReservation: true)
            let host = bed.host()
            let own = try await host.acquired()
            #expect(own.key.ipv4.map { IPv4Prefix("10.5.0.0/16")?.contains($0) } == true)
            #expect(try await bed.records()["10.9.7.0-24"] != nil)
            #expect(host.now.log.contains { $0.hasPrefix("error") && $0.contains("10.9.7.0-24") })
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func previousSubnetIsTakenIfFreeAndAdmitted(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.8.0-24", leaseValue(8))
            for (number, (previous, isTaken)) in [
                ("10.5.7.0-24", true), ("10.9.7.0-24", false), ("10.5.8.0-24", false),
            ].enumerated() {
                let host = bed.host(UInt8(number + 1), previous: previous)
                #expect((try await host.acquired().key.description == previous) == isTaken)
                await host.stop()
            }
        }

        @Test(arguments: StoreKind.available)
        func fullRangeIsSaidAndRetriedWhenASubnetFrees(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind, config: small)
            for third in 0...3 { try bed.put("10.5.\(third).0-24", leaseValue(100 + third)) }
            let host = bed.host()
            try await host.until("it says so") {
                if case .unavailable(let cause) = $0.condition { cause.contains("no subnet is free") } else { false }
            }
            #expect(host.now.own == nil)
            try bed.remove("10.5.2.0-24")
            #expect(try await host.acquired().key.description == "10.5.2.0-24")
            #expect(host.now.peers.count == 3 && host.now.condition == .connected)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func hostsRacingForTheLastSubnetsHoldDistinctOnes(_ kind: StoreKind) async throws {
            for _ in 0..<10 {
                let bed = try await RegistryBed(kind, config: small)
                // Subnet 0 is never given out, so that there are three for three.
                let hosts = (1...3).map { bed.host($0) }
                var keys: Set<SubnetKey> = []
                for host in hosts { keys.insert(try await host.acquired().key) }
                #expect(keys.count == 3)
                for host in hosts { try await host.until("each sees the others") { $0.peers.count == 2 } }
                for host in hosts { await host.stop() }
            }
        }

        @Test(arguments: StoreKind.available)
        func aDoubleCreateIsPutRight(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.8.0-24", vxlanValue("172.30.0.1"))
            try bed.put("10.5.9.0-24", vxlanValue("172.30.0.1"))
            let host = bed.host()
            #expect(try await host.acquired().key.description == "10.5.8.0-24")
            try await eventually("the other is deleted") { Set(try await bed.records().keys) == ["10.5.8.0-24"] }
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func malformedLeasesAreIgnoredAlone(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.8.0-24", leaseValue(8))
            try bed.put("nonsense", "{")
            try bed.put("10.7.8.0-24", leaseValue(9))
            let host = bed.host(previous: "10.5.200.0-24")
            try await host.acquired()
            #expect(host.now.peers.count == 1)
            #expect(host.now.rejections.map(\.name) == ["10.7.8.0-24", "nonsense"])
            // A good one turns bad, a bad one good.
            try bed.put("10.5.8.0-24", "[]")
            try bed.put("10.5.9.0-24", "null")
            try bed.put("10.5.9.0-24", leaseValue(9))
            try await host.until("both are seen") {
                $0.peers.keys.map(\.description) == ["10.5.9.0-24"] && $0.rejections.count == 3
            }
            await host.stop()
        }

        // The config.

        @Test(arguments: StoreKind.available)
        func waitsForConfig(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind, config: nil)
            try bed.put("10.5.8.0-24", leaseValue(8))
            let host = bed.host()
            let command = bed.store.configCommand
            try await host.until("it says what is missing") {
                if case .unavailable(let cause) = $0.condition { cause.contains(command) } else { false }
            }
            try bed.putConfig(#"{"Network":"10.5.0.0/16","SubnetLen":"x"}"#)
            try await host.until("it says what is wrong") {
                if case .configUnusable(let cause) = $0.condition { cause.contains("SubnetLen") } else { false }
            }
            try bed.putConfig(networkConfig)
            try await host.acquired()
            #expect(host.now.peers.count == 1 && host.now.condition == .connected)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func keepsTheLastGoodConfig(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            let host = bed.host(previous: "10.5.7.0-24")
            try await host.acquired()
            let first = host.now.config
            try bed.putConfig("nonsense")
            try bed.putConfig(nil)
            try bed.putConfig(#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#)
            try await host.until("all three are refused") { state in
                ["not JSON", "no network config", "does not fit"].allSatisfy { text in
                    state.log.contains { $0.contains(text) }
                }
            }
            #expect(host.now.config == first && host.now.own?.key.description == "10.5.7.0-24")
            try bed.putConfig(#"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#)
            try await host.until("a fitting one is taken, and the lease written") {
                $0.config?.backendType == "host-gw" && $0.own?.attributes.backendType == "host-gw"
            }
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func aConfigReplacedDuringAnOutageIsTaken(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            let host = bed.host()
            let own = try await host.acquired()
            bed.setReachable(false)
            try await host.until("the outage is noticed") { $0.condition != .connected }
            try bed.putConfig(#"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#)
            bed.setReachable(true)
            try await host.until("the config and the lease are new") {
                $0.config?.backendType == "host-gw" && $0.own?.attributes.backendType == "host-gw"
            }
            #expect(host.now.own?.key == own.key)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func unusableConfigIsSaidAndLeftAlone(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind, config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"unusable"}}"#)
            let host = bed.host()
            try await host.until("it is said") {
                if case .configUnusable(let cause) = $0.condition { cause.contains("no such backend") } else { false }
            }
            #expect(try await bed.records().isEmpty)
            try bed.putConfig(networkConfig)
            try await host.acquired()
            #expect(host.now.condition == .connected && host.now.failure == nil)
            await host.stop()
        }
    }
}
