import IPNetwork
import Leases
import Testing

@Suite struct LeaseSetTests {
    private func config(_ text: String = #"{"Network":"10.5.0.0/16"}"#) throws -> NetworkConfig {
        try NetworkConfig(json: Array(text.utf8))
    }

    private func key(_ text: String) throws -> SubnetKey { try #require(SubnetKey(text)) }

    @Test func comesRenewsChangesGoes() throws {
        var set = LeaseSet(config: try config())
        let subnet = try key("10.5.2.0-24")
        #expect(set.put(record("10.5.2.0-24", good(2), 5)).updated.keys.first == subnet)
        let renewal = LeaseRecord(
            name: "10.5.2.0-24", value: good(2), createRevision: 5, modRevision: 9, isReservation: false)
        #expect(set.put(renewal).isEmpty)
        #expect(set.leases[subnet]?.modRevision == 9)
        #expect(set.record(named: "10.5.2.0-24") == renewal)
        let moved = set.put(
            LeaseRecord(name: "10.5.2.0-24", value: good(3), createRevision: 5, modRevision: 10, isReservation: false))
        #expect(moved.updated[subnet]?.attributes.publicIP == IPv4Address(172, 30, 0, 3))
        #expect(set.remove(name: "10.5.2.0-24") == LeaseChanges(removed: [subnet]))
        #expect(set.remove(name: "10.5.2.0-24").isEmpty)
        #expect(set.leases.isEmpty && set.record(named: "10.5.2.0-24") == nil)
    }

    @Test func theOlderStaysAndTheOtherFollows() throws {
        var set = LeaseSet(config: try config())
        _ = set.put(record("10.5.2.0-25", good(7), 20))
        #expect(set.leases.count == 1)
        // An older one that is seen later takes over.
        let takeover = set.put(record("10.5.2.0-24", good(2), 10))
        #expect(Set(takeover.updated.keys) == [try key("10.5.2.0-24")])
        #expect(takeover.removed == [try key("10.5.2.0-25")])
        #expect(
            set.rejections == [
                LeaseRejection(name: "10.5.2.0-25", reason: "10.5.2.0/25 overlaps the older lease of 10.5.2.0-24")
            ])
        let after = set.remove(name: "10.5.2.0-24")
        #expect(Set(after.updated.keys) == [try key("10.5.2.0-25")])
        #expect(after.removed == [try key("10.5.2.0-24")])
        #expect(set.rejections.isEmpty)
    }

    /// A blocks B, B would block C: C is in as long as A is there.
    @Test func chain() throws {
        var set = LeaseSet(config: try config())
        _ = set.replaceAll([
            record("10.5.2.0-24", good(2), 1), record("10.5.2.0-25", good(3), 2), record("10.5.3.0-24", good(3), 3),
        ])
        #expect(Set(set.leases.keys) == [try key("10.5.2.0-24"), try key("10.5.3.0-24")])
        let changes = set.remove(name: "10.5.2.0-24")
        #expect(Set(changes.updated.keys) == [try key("10.5.2.0-25")])
        #expect(changes.removed == [try key("10.5.2.0-24"), try key("10.5.3.0-24")])
    }

    @Test func own() throws {
        var set = LeaseSet(config: try config())
        _ = set.replaceAll([record("10.5.1.0-24", good(1), 1), record("10.5.2.0-24", good(2), 2)])
        #expect(set.leases.count == 2)
        #expect(set.leases(withPublicIP: IPv4Address(172, 30, 0, 1)).map(\.key) == [try key("10.5.1.0-24")])
        let changes = set.setOwn(
            key: try key("10.5.1.0-24"), publicIP: IPv4Address(172, 30, 0, 1), publicIPv6: nil)
        #expect(changes == LeaseChanges(removed: [try key("10.5.1.0-24")]))
        #expect(set.rejections.isEmpty)
        #expect(set.takenKeys == [try key("10.5.1.0-24"), try key("10.5.2.0-24")])
        // A lease that an earlier run of this host left under another key is ours, not a peer's.
        #expect(set.put(record("10.5.9.0-24", good(1), 9)).isEmpty)
        #expect(set.rejections.map(\.name) == ["10.5.9.0-24"])
        let released = set.setOwn(key: nil, publicIP: nil, publicIPv6: nil)
        #expect(Set(released.updated.keys) == [try key("10.5.1.0-24")])
    }

    @Test func takenKeysHoldIgnoredOnes() throws {
        var set = LeaseSet(config: try config())
        _ = set.setOwn(key: try key("10.5.1.0-24"), publicIP: nil, publicIPv6: nil)
        _ = set.replaceAll([
            record("10.5.7.0-24", [0], 1), record("10.9.0.0-24", good(1), 2), record("junk", good(2), 3),
        ])
        #expect(set.takenKeys == [try key("10.5.1.0-24"), try key("10.5.7.0-24"), try key("10.9.0.0-24")])
        #expect(set.rejections.map(\.name) == ["10.5.7.0-24", "10.9.0.0-24", "junk"])
    }

    @Test func families() throws {
        let dual = try config(#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}"#)
        let both = record(
            "10.5.2.0-24&fd00:0:0:2::-64", Array(#"{"PublicIP":"172.30.0.2","PublicIPv6":"2001:db8::2"}"#.utf8), 1)
        let single = record("10.5.3.0-24", good(3), 2)
        let noAddress = record("10.5.4.0-24&fd00:0:0:4::-64", good(4), 3)
        let sameIPv6 = record(
            "10.5.5.0-24&fd00:0:0:2::-64", Array(#"{"PublicIP":"172.30.0.5","PublicIPv6":"2001:db8::5"}"#.utf8), 4)
        var set = LeaseSet(config: dual)
        _ = set.replaceAll([both, single, noAddress, sameIPv6])
        #expect(Set(set.leases.keys.map(\.description)) == [both.name, single.name])
        #expect(set.rejections.map(\.name) == [noAddress.name, sameIPv6.name])
        // Over IPv4 alone the IPv6 parts don't matter.
        let changes = set.setConfig(try config())
        #expect(Set(changes.updated.keys.map(\.description)) == [noAddress.name, sameIPv6.name])
        #expect(changes.removed.isEmpty && set.rejections.isEmpty)
        #expect(set.setConfig(dual).removed.count == 2)
    }

    /// The example config in flannel's documentation, with hosts in the part that the bounds spare.
    @Test func hostsMayLiveInsideNetwork() throws {
        var set = LeaseSet(
            config: try config(
                #"""
                {"Network":"10.0.0.0/8","SubnetLen":20,"SubnetMin":"10.10.0.0","SubnetMax":"10.99.0.0",
                 "EnableIPv6":true,"IPv6Network":"fd00::/16","IPv6SubnetMin":"fd00:0:0:10::",
                 "IPv6SubnetMax":"fd00:0:0:99::"}
                """#))
        func dual(_ name: String, _ ipv4: String, _ ipv6: String, _ revision: Int64) -> LeaseRecord {
            record(name, Array("{\"PublicIP\":\"\(ipv4)\",\"PublicIPv6\":\"\(ipv6)\"}".utf8), revision)
        }
        let good = dual("10.10.0.0-20&fd00:0:0:10::-64", "10.0.1.5", "fd00::5", 1)
        _ = set.setOwn(key: nil, publicIP: IPv4Address(10, 0, 1, 1), publicIPv6: IPv6Address("fd00::1"))
        _ = set.replaceAll([
            good, dual("10.10.16.0-20&fd00:0:0:11::-64", "10.99.15.255", "fd00::6", 2),
            dual("10.10.32.0-20&fd00:0:0:12::-64", "10.99.16.0", "fd00:0:0:99:ffff:ffff:ffff:ffff", 3),
            dual("10.10.48.0-20&fd00:0:0:13::-64", "10.99.16.1", "fd00:0:0:9a::", 4),
        ])
        #expect(Set(set.leases.keys.map(\.description)) == [good.name, "10.10.48.0-20&fd00:0:0:13::-64"])
        #expect(set.rejections.allSatisfy { $0.reason.contains("gives out") } && set.rejections.count == 2)
        // A network without room for its hosts, which flannel takes too.
        _ = set.setConfig(try config(#"{"Network":"10.0.0.0/8"}"#))
        #expect(set.leases.count == 4)
        #expect(set.put(record("10.0.7.0-24", Array(#"{"PublicIP":"10.0.7.9"}"#.utf8), 5)).isEmpty)
    }

    /// A host whose public address lies in the subnet that this host got can't be a peer, whatever came first; when the
    /// subnet changes, it can.
    @Test func aNewKeyOfOursJudgesHostsInsideIt() throws {
        var set = LeaseSet(
            config: try config(#"{"Network":"10.0.0.0/8","EnableIPv6":true,"IPv6Network":"fd00::/16"}"#))
        let own = (IPv4Address(10, 0, 1, 1), IPv6Address("fd00:0:0:1::1"))
        func dual(_ number: Int, _ ipv4: String, _ ipv6: String) -> LeaseRecord {
            record(
                "10.9.\(number).0-24&fd00:0:0:9\(number)::-64",
                Array("{\"PublicIP\":\"\(ipv4)\",\"PublicIPv6\":\"\(ipv6)\"}".utf8), Int64(number))
        }
        _ = set.setOwn(key: nil, publicIP: own.0, publicIPv6: own.1)
        let (first, second) = (dual(1, "10.0.7.9", "fd00::9"), dual(2, "10.0.9.9", "fd00:0:0:7::9"))
        _ = set.replaceAll([first, second, dual(3, "10.0.1.3", "fd00::3")])
        #expect(set.leases.count == 3)
        var changes = set.setOwn(key: try key("10.0.7.0-24&fd00:0:0:7::-64"), publicIP: own.0, publicIPv6: own.1)
        #expect(Set(changes.removed.map(\.description)) == [first.name, second.name])
        #expect(set.rejections.map(\.reason).allSatisfy { $0.contains("this host's own subnet") })
        changes = set.setOwn(key: try key("10.0.8.0-24&fd00:0:0:8::-64"), publicIP: own.0, publicIPv6: own.1)
        #expect(changes.removed.isEmpty && set.leases.count == 3 && set.rejections.isEmpty)
    }

    /// Of this host's own lease and a peer's that overlap, the older one counts for all.
    @Test func ownYieldsToAnOlderLease() throws {
        let config = try config(#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}"#)
        func dual(_ name: String, _ host: Int, _ revision: Int64) -> LeaseRecord {
            record(
                name, Array("{\"PublicIP\":\"172.30.0.\(host)\",\"PublicIPv6\":\"2001:db8::\(host)\"}".utf8), revision)
        }
        let ours = dual("10.5.2.0-24&fd00:0:0:2::-64", 1, 10)
        let own = try LeaseCodec.decode(ours)
        var set = LeaseSet(config: config)
        _ = set.setOwn(key: own.key, publicIP: own.attributes.publicIP, publicIPv6: own.attributes.publicIPv6)
        _ = set.put(ours)
        #expect(set.put(dual("10.5.2.0-24&fd00:0:0:3::-64", 3, 11)).isEmpty)
        #expect(set.rival(of: own) == nil)
        #expect(
            set.rejections.map(\.reason) == ["10.5.2.0/24 overlaps this host's own lease 10.5.2.0-24&fd00:0:0:2::-64"])
        // One that is malformed, or an older lease's victim, is no rival.
        _ = set.put(record("10.5.2.0-23&fd00:0:0:4::-64", [0], 1))
        _ = set.put(dual("10.5.4.0-24&fd00:0:0:4::-64", 4, 1))
        _ = set.put(dual("10.5.2.0-25&fd00:0:0:4::-64", 5, 2))
        #expect(set.rival(of: own) == nil)
        let older = dual("10.5.9.0-24&fd00:0:0:2::-64", 9, 9)
        #expect(set.put(older).updated.count == 2, "and the one that our own lease stood in the way of")
        let rival = try #require(set.rival(of: own))
        #expect(rival.lease.key.description == older.name && rival.spared == SubnetKey("10.5.2.0-24"))
        #expect(set.rejections.allSatisfy { $0.name != ours.name })
        _ = set.remove(name: older.name)
        #expect(set.rival(of: own) == nil)
        // The very same subnets, spelt in another way, are another key: a rival with another host's address alone.
        let respelt = ours.name.replacing("fd00:0:0:2::", with: "fd00:0:0:2:0::")
        _ = set.put(dual(respelt, 1, 3))
        #expect(set.rival(of: own) == nil)
        _ = set.put(dual(respelt, 8, 3))
        #expect(set.rival(of: own)?.lease.attributes.publicIP == IPv4Address(172, 30, 0, 8))
    }

    /// What is removed is kept for a while, and is the weakest meanwhile.
    @Test func removedLeasesAreKeptForAWhile() throws {
        let (two, three, halfOfThree, seven, halfOfSeven) = (
            try key("10.5.2.0-24"), try key("10.5.3.0-24"), try key("10.5.3.0-25"), try key("10.5.7.0-24"),
            try key("10.5.7.0-25")
        )
        let now = ContinuousClock.now
        var set = LeaseSet(config: try config())
        _ = set.replaceAll([record("10.5.2.0-24", good(2), 2), record("10.5.3.0-24", good(3), 3)])
        #expect(set.nextDeparture == nil)
        #expect(set.remove(name: "10.5.2.0-24", keepingUntil: now + .seconds(3)).isEmpty)
        #expect(set.record(named: "10.5.2.0-24") == nil && set.leases.count == 2)
        #expect(set.takenKeys == [three] && set.departingKeys == [two])
        #expect(set.leases(withPublicIP: IPv4Address(172, 30, 0, 2)).isEmpty)
        // It comes back.
        let back = set.put(record("10.5.2.0-24", good(2), 7))
        #expect(Set(back.updated.keys) == [two] && back.removed.isEmpty)
        #expect(set.dropDeparted(now + .seconds(9)).isEmpty && set.leases.count == 2 && set.nextDeparture == nil)
        // It does not.
        _ = set.replaceAll([record("10.5.3.0-24", good(3), 3)], keepingMissingUntil: now + .seconds(10))
        #expect(set.nextDeparture == now + .seconds(10) && set.dropDeparted(now + .seconds(9)).isEmpty)
        #expect(set.dropDeparted(now + .seconds(10)).removed == [two])
        #expect(set.departingKeys.isEmpty)
        // Another lease is in its way: by its subnet, or as the same host's.
        _ = set.remove(name: "10.5.3.0-24", keepingUntil: now + .seconds(20))
        let other = set.put(record("10.5.3.0-25", good(8), 20))
        #expect(other.removed == [three] && Set(other.updated.keys) == [halfOfThree])
        _ = set.remove(name: "10.5.3.0-25", keepingUntil: now + .seconds(21))
        let moved = set.put(record("10.5.7.0-24", good(8), 21))
        #expect(moved.removed == [halfOfThree] && Set(moved.updated.keys) == [seven])
        // One that it stood in the way of takes its place at once.
        _ = set.put(record("10.5.7.0-25", good(9), 30))
        let follower = set.remove(name: "10.5.7.0-24", keepingUntil: now + .seconds(22))
        #expect(follower.removed == [seven] && Set(follower.updated.keys) == [halfOfSeven])
    }

    /// A host moves to dual stack: the new key beside the old, and then alone.
    @Test func aHostUnderANewKeyIsNeverMissing() throws {
        let two = try key("10.5.2.0-24")
        let newKey = try key("10.5.2.0-24&fd00:0:0:2::-64")
        let now = ContinuousClock.now
        var set = LeaseSet(
            config: try config(#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}"#))
        let new = record(
            "10.5.2.0-24&fd00:0:0:2::-64", Array(#"{"PublicIP":"172.30.0.2","PublicIPv6":"2001:db8::2"}"#.utf8), 9)
        _ = set.put(record("10.5.2.0-24", good(2), 2))
        #expect(set.put(new).isEmpty)
        let changes = set.remove(name: "10.5.2.0-24", keepingUntil: now + .seconds(3))
        #expect(changes.removed == [two] && Set(changes.updated.keys) == [newKey])
        #expect(set.departingKeys.isEmpty)
    }

    @Test func stocksIPv6OnlyKey() throws {
        let name = "0.0.0.0-0&fd00:0:0:2::-64"
        let key = try key(name)
        #expect(key.ipv4 == nil && key.description == name && key != SubnetKey("fd00:0:0:2::-64"))
        let config = try config(#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48"}"#)
        #expect(config.admits(key))
        var set = LeaseSet(config: config)
        let value = Array(#"{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::2"}"#.utf8)
        _ = set.put(record(name, value, 2))
        #expect(set.leases[key]?.attributes.publicIPv6 == IPv6Address("2001:db8::2"))
        #expect(set.put(record("fd00:0:0:2::-64", Array(#"{"PublicIPv6":"2001:db8::3"}"#.utf8), 3)).isEmpty)
        #expect(set.rejections.map(\.reason) == ["fd00:0:0:2::/64 overlaps the older lease of \(name)"])
    }

    /// Enough leases, in random order, for the sorted chunks to split and to empty.
    @Test func manyLeases() throws {
        var generator = SeededGenerator(seed: 7)
        var set = LeaseSet(config: try config(#"{"Network":"10.0.0.0/8"}"#))
        let subnets = (0..<1500).shuffled(using: &generator)
        func name(_ subnet: Int) -> String { "10.\(subnet / 256).\(subnet % 256)" }
        func value(_ host: Int) -> [UInt8] { Array("{\"PublicIP\":\"172.30.\(host / 256).\(host % 256)\"}".utf8) }
        for subnet in subnets {
            #expect(set.put(record("\(name(subnet)).0-24", value(subnet), 1)).updated.count == 1)
        }
        for subnet in subnets.prefix(300) {
            #expect(set.put(record("\(name(subnet)).128-25", value(5000 + subnet), 2)).isEmpty)
        }
        #expect(set.leases.count == 1500 && set.rejections.count == 300)
        for subnet in subnets.prefix(1400) {
            let changes = set.remove(name: "\(name(subnet)).0-24")
            #expect(changes.removed.count == 1)
        }
        #expect(set.leases.count == 400 && set.rejections.isEmpty)
        // One that overlaps all of them and is older puts them all aside.
        let changes = set.put(record("10.0.0.0-12", value(9000), 0))
        #expect(changes.updated.count == 1 && changes.removed.count == 400)
        #expect(set.remove(name: "10.0.0.0-12").updated.count == 400)
    }

    /// Random changes, checked against judging everything anew.
    @Test(arguments: 1...6)
    func agreesWithANaiveModel(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let configs = [
            try config(), try config(#"{"Network":"10.5.0.0/17"}"#),
            try config(#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}"#),
        ]
        var set = LeaseSet(config: configs[0])
        var model = NaiveLeases(config: configs[0])
        var known: [SubnetKey: Lease] = [:]
        var revision: Int64 = 100
        let start = ContinuousClock.now
        for step in 0..<600 {
            let changes: LeaseChanges
            switch Int.random(in: 0..<20, using: &generator) {
            case 0:
                model.records = [:]
                model.departing = []
                var list: [LeaseRecord] = []
                for _ in 0..<Int.random(in: 0..<40, using: &generator) {
                    let record = randomRecord(&revision, &generator)
                    guard model.records[record.name] == nil else { continue }
                    model.records[record.name] = record
                    list.append(record)
                }
                changes = set.replaceAll(list)
            case 1:
                model.ownKey = Bool.random(using: &generator) ? SubnetKey(randomName(&generator)) : nil
                model.ownIP = Bool.random(using: &generator) ? IPv4Address(172, 30, 0, 3) : nil
                changes = set.setOwn(key: model.ownKey, publicIP: model.ownIP, publicIPv6: nil)
            case 2:
                model.config = configs[Int.random(in: 0..<3, using: &generator)]
                changes = set.setConfig(model.config)
            case 3...5:
                let name = model.records.keys.sorted().randomElement(using: &generator) ?? "none"
                model.records[name] = nil
                changes = set.remove(name: name)
            case 6...8:
                let name = model.records.keys.sorted().randomElement(using: &generator) ?? "none"
                let end = start + .seconds(step + 20)
                if let record = model.records.removeValue(forKey: name),
                    SubnetKey(name).map({ set.leases[$0] != nil }) == true
                {
                    model.departing.append((end, record))
                }
                changes = set.remove(name: name, keepingUntil: end)
            case 9:
                let now = start + .seconds(step)
                model.departing.removeAll { $0.end <= now }
                changes = set.dropDeparted(now)
            default:
                let record = randomRecord(&revision, &generator)
                model.records[record.name] = record
                changes = set.put(record)
            }
            let (leases, rejected) = model.judge()
            try #require(set.leases == leases, "step \(step)")
            try #require(set.rejections.map(\.name) == rejected, "step \(step)")
            // The reported difference, neither less nor more.
            for key in changes.removed { try #require(known[key] != nil && leases[key] == nil, "step \(step)") }
            for (key, lease) in changes.updated {
                try #require(leases[key] == lease && known[key].map { !same($0, lease) } ?? true, "step \(step)")
            }
            for key in changes.removed { known[key] = nil }
            for (key, lease) in changes.updated { known[key] = lease }
            try #require(Set(known.keys) == Set(leases.keys), "step \(step)")
            try #require(leases.allSatisfy { key, lease in known[key].map { same($0, lease) } ?? false })
            for record in model.records.values { #expect(set.record(named: record.name) == record) }
            let own = model.ownKey.flatMap { model.records[$0.description] }.flatMap { record in
                SubnetKey(record.name).map {
                    Lease(
                        key: $0, attributes: LeaseAttributes(), isReservation: false,
                        createRevision: record.createRevision, modRevision: 1)
                }
            }
            // What only waits for its own host's former lease is a rival too.
            let rival = own.flatMap { set.rival(of: $0)?.lease }
            if own != nil, !model.holdsOwn { try #require(rival != nil, "step \(step)") }
            if model.holdsOwn { try #require(rival.map { leases[$0.key] == nil } ?? true, "step \(step)") }
        }
    }

    private func same(_ one: Lease, _ two: Lease) -> Bool {
        one.attributes == two.attributes && one.createRevision == two.createRevision
            && one.isReservation == two.isReservation
    }

    private func randomName(_ generator: inout SeededGenerator) -> String {
        let third = Int.random(in: 0..<6, using: &generator) + (Int.random(in: 0..<8, using: &generator) == 0 ? 200 : 0)
        let length = [22, 23, 24, 24, 24, 25].randomElement(using: &generator) ?? 24
        let mask = length < 24 ? 256 - (1 << (24 - length)) : 255
        let ipv4 = "10.5.\(third & mask).\(length == 25 && Bool.random(using: &generator) ? 128 : 0)-\(length)"
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return "junk"
        case 1: return "fd00:0:0:\(third)::-64"
        case 2...4: return "\(ipv4)&fd00:0:0:\(Int.random(in: 0..<4, using: &generator))::-64"
        default: return ipv4
        }
    }

    private func randomRecord(_ revision: inout Int64, _ generator: inout SeededGenerator) -> LeaseRecord {
        revision += 1
        let host = Int.random(in: 0..<8, using: &generator)
        let ipv6 = "\"2001:db8::\(Int.random(in: 1..<6, using: &generator))\""
        let value =
            Int.random(in: 0..<12, using: &generator) == 0
            ? "{"
            : "{\"PublicIP\":\"172.30.0.\(host)\",\"PublicIPv6\":\(Bool.random(using: &generator) ? ipv6 : "null")}"
        return LeaseRecord(
            name: randomName(&generator), value: Array(value.utf8),
            createRevision: Int64.random(in: 1..<30, using: &generator), modRevision: revision,
            isReservation: host == 7)
    }
}
