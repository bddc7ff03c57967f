import Foundation
import IPNetwork
import Leases
import Testing

@testable import WeftDaemon

/// What stock daemons wrote to etcd and into their subnet files, as `Scripts/capture-stock.py` recorded it.
private struct StockCorpus: Decodable {
    var version: String
    var cases: [Case]

    struct Case: Decodable, CustomTestStringConvertible {
        var name: String
        var config: String
        var flags: [String]
        var keys: [Key]
        /// The first host's, then the second's.
        var subnetFiles: [String]

        var testDescription: String { name }
        var networkConfig: NetworkConfig { get throws { try NetworkConfig(json: Array(config.utf8)) } }
    }

    struct Key: Decodable {
        var name: String
        var value: String
        /// Seconds; 0 for a reservation.
        var ttl: Int

        var record: LeaseRecord {
            LeaseRecord(
                name: name, value: Array(value.utf8), createRevision: 1, modRevision: 1, isReservation: ttl == 0)
        }
    }

    static let all: [String: StockCorpus] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../Fixtures/Stock")
        var all: [String: StockCorpus] = [:]
        for version in ["v0.11.0", "v0.20.2"] {
            let file = folder.appending(path: "\(version)/corpus.json")
            all[version] = (try? Data(contentsOf: file)).flatMap { try? JSONDecoder().decode(Self.self, from: $0) }
        }
        return all
    }()

    /// Stock's IPv6-only hosts all write PublicIP 0.0.0.0, so that the second takes the first's subnet for its own; the
    /// key has 0.0.0.0-0 for the IPv4 subnet.
    static let ipv6Only = "vxlan-ipv6"

    static func cases(_ version: String) -> [Case] { all[version]?.cases.filter { $0.name != ipv6Only } ?? [] }
    static var everything: [Case] { cases("v0.11.0") + cases("v0.20.2") }
}

@Suite struct StockCorpusTests {
    @Test func isThere() {
        #expect(StockCorpus.cases("v0.11.0").count >= 10)
        #expect(StockCorpus.cases("v0.20.2").count >= 12)
    }

    @Test(arguments: StockCorpus.everything)
    fileprivate func leasesAreRead(sample: StockCorpus.Case) throws {
        let config = try sample.networkConfig
        #expect(sample.keys.count == 2)
        var set = LeaseSet(config: config)
        _ = set.replaceAll(sample.keys.map(\.record))
        #expect(set.rejections.isEmpty, "\(set.rejections)")
        #expect(set.leases.count == 2)
        for key in sample.keys {
            let lease = try LeaseCodec.decode(key.record)
            #expect(lease.key.description == key.name)
            #expect(config.admits(lease.key))
            #expect(lease.attributes.publicIP != nil)
            // These three say nothing of their type.
            let type = ["udp", "alloc"].contains(config.backendType) ? "" : config.backendType
            #expect(lease.attributes.backendType == type)
            switch config.backendType {
            case "vxlan": #expect(lease.attributes.backendData?["VtepMAC"] != nil)
            case "extension": #expect(lease.attributes.backendData == .string("a <b> & c"))
            default: #expect(lease.attributes.backendData == nil)
            }
            #expect((lease.attributes.backendV6Data != nil) == (sample.name == "vxlan-dualstack"))
            #expect((lease.attributes.publicIPv6 != nil) == (config.ipv6 != nil))
        }
    }

    /// Byte for byte what was read.
    @Test(arguments: StockCorpus.cases("v0.20.2"))
    fileprivate func leasesAreWrittenTheSame(sample: StockCorpus.Case) throws {
        for key in sample.keys {
            let attributes = try LeaseCodec.attributes(Array(key.value.utf8))
            #expect(String(decoding: LeaseCodec.encode(attributes), as: UTF8.self) == key.value)
        }
    }

    /// The same but for the field that v0.11 does not have, and does not look at.
    @Test(arguments: StockCorpus.cases("v0.11.0"))
    fileprivate func oldLeasesAreWrittenTheSameButForIPv6(sample: StockCorpus.Case) throws {
        for key in sample.keys {
            let attributes = try LeaseCodec.attributes(Array(key.value.utf8))
            let written = String(decoding: LeaseCodec.encode(attributes), as: UTF8.self)
            #expect(written.replacing(#","PublicIPv6":null"#, with: "") == key.value)
        }
    }

    /// Where the backends are the same, so is the file; the engine's bridge keeps its address.
    @Test(arguments: StockCorpus.everything)
    fileprivate func subnetFilesAreReadAndWrittenTheSame(sample: StockCorpus.Case) throws {
        let config = try sample.networkConfig
        let masquerade = sample.flags.contains("--ip-masq")
        let subnets = sample.keys.compactMap { SubnetKey($0.name) }
        for text in sample.subnetFiles {
            let folder = "/tmp/weft-stock-corpus-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let file = SubnetFile(path: "\(folder)/subnet.env")
            try file.write(text)
            let key = try #require(file.previousSubnet(), "\(text)")
            #expect(subnets.contains(key))
            let mtu = try #require(text.firstMatch(of: /FLANNEL_MTU=(\d+)/).flatMap { UInt32($0.1) })
            #expect(SubnetFile.text(config: config, key: key, mtu: mtu, masquerade: masquerade) == text)
        }
    }

    /// v0.20.2 gives a reservation a TTL when the host starts, v0.11 keeps it as it is, and so does Weft.
    @Test func reservations() throws {
        for (version, isKept) in [("v0.11.0", true), ("v0.20.2", false)] {
            let sample = try #require(StockCorpus.cases(version).first { $0.name == "vxlan-reservation" })
            let key = try #require(sample.keys.first { $0.name == "10.5.77.0-24" })
            #expect((key.ttl == 0) == isKept)
            #expect(try LeaseCodec.decode(key.record).attributes.publicIP == IPv4Address(172, 30, 0, 11))
        }
    }

    /// Configs from flannel's documentation and manifests, v0.11 to v0.28, and from tutorials, and what they mean.
    @Test(arguments: [
        (#"{ "Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"}}"#, "10.5.0.0/16 /24 10.5.1.0 10.5.255.0 vxlan"),
        (
            #"{"NetWork":"10.0.0.0/16","SubnetMin": "10.0.1.0","SubnetMax": "10.0.20.0","Backend": {"Type": "vxlan"}}"#,
            "10.0.0.0/16 /24 10.0.1.0 10.0.20.0 vxlan"
        ),
        (
            "{\n\t\"Network\": \"10.0.0.0/8\",\n\t\"SubnetLen\": 20,\n\t\"SubnetMin\": \"10.10.0.0\",\n"
                + "\t\"SubnetMax\": \"10.99.0.0\",\n\t\"Backend\": {\n\t\t\"Type\": \"udp\",\n\t\t\"Port\": 7890\n\t}\n}\n",
            "10.0.0.0/8 /20 10.10.0.0 10.99.0.0 udp"
        ),
        (
            "    {\n      \"Network\": \"10.244.0.0/16\",\n      \"Backend\": {\n        \"Type\": \"vxlan\"\n      }\n    }\n",
            "10.244.0.0/16 /24 10.244.1.0 10.244.255.0 vxlan"
        ),
        (
            #"{"Network": "10.244.0.0/16", "EnableNFTables": false, "Backend": {"Type": "vxlan"}}"#,
            "10.244.0.0/16 /24 10.244.1.0 10.244.255.0 vxlan"
        ),
        (
            #"{"Network":"10.33.0.0/16","Backend":{"Type":"host-gw"}}"#,
            "10.33.0.0/16 /24 10.33.1.0 10.33.255.0 host-gw"
        ),
        (#"{ "Network": "10.10.0.0/16" }"#, "10.10.0.0/16 /24 10.10.1.0 10.10.255.0 udp"),
        (
            #"{ "Network": "10.42.0.0/16", "Backend": { "Type": "vxlan", "VNI": 4096, "Port": 4789 }, "EnableNFTables": true }"#,
            "10.42.0.0/16 /24 10.42.1.0 10.42.255.0 vxlan"
        ),
        (
            #"{"Network":"172.17.0.0/16","SubnetLen":24,"Backend":{"Type":"host-gw"}}"#,
            "172.17.0.0/16 /24 172.17.1.0 172.17.255.0 host-gw"
        ),
        (
            #"{"Network":"192.168.8.0/21","SubnetLen":25,"Backend":{"Type":"VXLAN","DirectRouting":true}}"#,
            "192.168.8.0/21 /25 192.168.8.128 192.168.15.128 vxlan"
        ),
        (
            #"{"EnableIPv6":true,"Network":"10.42.0.0/16","IPv6Network":"2001:cafe:42:0::/56","Backend":{"Type":"vxlan"}}"#,
            "10.42.0.0/16 /24 10.42.1.0 10.42.255.0 2001:cafe:42::/56 /64 2001:cafe:42:1:: 2001:cafe:42:ff:: vxlan"
        ),
    ])
    func configsInTheWild(text: String, meaning: String) throws {
        let config = try NetworkConfig(json: Array(text.utf8))
        var words: [String] = []
        if let range = config.ipv4 {
            words += ["\(range.network)", "/\(range.subnetLength)", "\(range.subnetMin)", "\(range.subnetMax)"]
        }
        if let range = config.ipv6 {
            words += ["\(range.network)", "/\(range.subnetLength)", "\(range.subnetMin)", "\(range.subnetMax)"]
        }
        #expect((words + [config.backendType]).joined(separator: " ") == meaning)
    }
}
