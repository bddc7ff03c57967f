import IPNetwork
import Leases
import Testing

@Suite struct LeaseCodecTests {
    private func attributes(_ text: String) throws -> LeaseAttributes {
        try LeaseCodec.attributes(Array(text.utf8))
    }

    /// Values as flannel v0.11, v0.20 and v0.28 write them; what is read is written again the same but for what v0.11
    /// leaves out.
    @Test(arguments: [
        #"{"PublicIP":"172.30.0.11","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"8e:01:02:03:04:05"}}"#,
        #"{"PublicIP":"172.30.0.11","PublicIPv6":null,"BackendType":"host-gw"}"#,
        #"{"PublicIP":"172.30.0.11","PublicIPv6":null}"#,
        #"{"PublicIP":"0.0.0.0","PublicIPv6":"fd00::11","BackendType":"wireguard","BackendV6Data":{"PublicKey":"a+/=","Port":51821}}"#,
        #"{"PublicIP":"172.30.0.11","PublicIPv6":"fd00::11","BackendType":"extension","BackendData":"a\u003cb\n","BackendV6Data":[1.50,null]}"#,
    ])
    func roundTrip(text: String) throws {
        #expect(String(decoding: LeaseCodec.encode(try attributes(text)), as: UTF8.self) == text)
    }

    @Test func olderAndForeignValues() throws {
        let old = try attributes(
            #"{ "PublicIP": "172.30.0.11", "BackendType": "vxlan", "BackendData": {"VtepMAC": "8e:01:02:03:04:05"} }"#)
        #expect(old.publicIP == IPv4Address(172, 30, 0, 11))
        #expect(old.publicIPv6 == nil)
        #expect(old.backendData?["vtepmac"] == .string("8e:01:02:03:04:05"))
        let foreign = try attributes(#"{"publicip":"1.1.1.1","New":{},"PUBLICIP":"172.30.0.11","backenddata":null}"#)
        #expect(foreign == LeaseAttributes(publicIP: IPv4Address(172, 30, 0, 11)))
        #expect(try attributes("{}") == LeaseAttributes())
    }

    @Test(arguments: [
        ("10.5.34.0-24", "10.5.34.0/24 -"), ("10.5.34.0-24&fd00:10:5::-64", "10.5.34.0/24 fd00:10:5::/64"),
        ("fd00:10:5::-64", "- fd00:10:5::/64"), ("0.0.0.0-0", "0.0.0.0/0 -"),
    ])
    func keys(text: String, expected: String) throws {
        let key = try #require(SubnetKey(text))
        #expect("\(key.ipv4?.description ?? "-") \(key.ipv6?.description ?? "-")" == expected)
        #expect(key.description == text)
    }

    @Test(arguments: [
        "", "config", "10.5.34.0", "10.5.34.0-", "-24", "10.5.34.0/24", "10.5.34.1-24", "10.5.34.0-33", "10.5.34.0-32",
        "10.5.34.0--24", "10.5.34.0-+24", "10.5.34.0-024", "10.5.34.0-24 ", " 10.5.34.0-24", "10.5.34.0-24/x",
        "10.5.034.0-24", "10.5.34-24", "x10.5.34.0-24", "10.5.34.0-24&", "&fd00::-64", "10.5.34.0-24&10.5.35.0-24",
        "fd00::-64&10.5.34.0-24", "10.5.34.0-24&fd00::1-64", "10.5.34.0-24&fd00::-128", "10.5.34.0-24&fd00::-64&",
        "10.5.34.0-9999999999999999999999", "10.5.34.0-24\u{0}", "10.5.34.0-２4", "fd00::1-64", "10.5.34.0-24-24",
    ])
    func refusedKeys(text: String) {
        #expect(SubnetKey(text) == nil)
        #expect(throws: LeaseRejection.self) { try LeaseCodec.decode(record(text, good(9), 1)) }
    }
}

func good(_ host: Int) -> [UInt8] {
    Array(#"{"PublicIP":"172.30.0.\#(host)","PublicIPv6":null,"BackendType":"host-gw"}"#.utf8)
}

func record(_ name: String, _ value: [UInt8], _ revision: Int64) -> LeaseRecord {
    LeaseRecord(name: name, value: value, createRevision: revision, modRevision: revision, isReservation: false)
}

/// Records that must be ignored, with words of the reason. Our own lease is 10.5.1.0/24 with 172.30.0.1; 10.5.2.0/24
/// with 172.30.0.2 and 10.5.3.0/24 with 172.30.0.3 are older leases of peers.
private let unacceptable: [(name: String, value: String, reason: String)] = [
    ("10.5.9.0-24", "", "the value is not JSON (the text ends where a value should be, at byte 0)"),
    ("10.5.9.0-24", "null", "the value is null; allowed: an object"),
    ("10.5.9.0-24", "[]", "the value is []; allowed: an object"),
    ("10.5.9.0-24", "\"172.30.0.9\"", "the value is \"172.30.0.9\"; allowed: an object"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.9""#, "the value is not JSON"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.9"}}"#, "the value is not JSON"),
    ("10.5.9.0-24", #"{"PublicIP":5}"#, "PublicIP is 5; allowed: an IPv4 address"),
    ("10.5.9.0-24", #"{"PublicIP":null}"#, "PublicIP is null; allowed: an IPv4 address"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0"}"#, "PublicIP is \"172.30.0\"; allowed: an IPv4 address"),
    ("10.5.9.0-24", #"{"PublicIP":"fd00::9"}"#, "PublicIP is \"fd00::9\"; allowed: an IPv4 address"),
    ("10.5.9.0-24", #"{"PublicIP":["172.30.0.9"]}"#, "PublicIP is [\"172.30.0.9\"]; allowed: an IPv4 address"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.9","PublicIPv6":"x"}"#, "PublicIPv6 is \"x\"; allowed: an IPv6 address"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.9","PublicIPv6":7}"#, "PublicIPv6 is 7; allowed: an IPv6 address"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.9","BackendType":1}"#, "BackendType is 1; allowed: a string"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.9","BackendType":{}}"#, "BackendType is {}; allowed: a string"),
    ("10.5.9.0-24", "{}", "PublicIP is missing"),
    ("10.5.9.0-24", #"{"PublicIP":"0.0.0.0"}"#, "PublicIP is missing"),
    ("10.5.9.0-24", #"{"PublicIP":"0.1.2.3"}"#, "PublicIP 0.1.2.3 is no address that another host can have"),
    ("10.5.9.0-24", #"{"PublicIP":"127.0.0.1"}"#, "PublicIP 127.0.0.1 is no address that another host can have"),
    ("10.5.9.0-24", #"{"PublicIP":"224.0.0.9"}"#, "PublicIP 224.0.0.9 is no address that another host can have"),
    ("10.5.9.0-24", #"{"PublicIP":"255.255.255.255"}"#, "is no address that another host can have"),
    ("10.5.9.0-24", #"{"PublicIP":"10.5.9.1"}"#, "PublicIP 10.5.9.1 lies inside the lease's own subnet 10.5.9.0/24"),
    ("10.5.9.0-24", #"{"PublicIP":"10.5.1.1"}"#, "PublicIP 10.5.1.1 lies inside this host's own subnet 10.5.1.0/24"),
    ("10.5.9.0-24", #"{"PublicIP":"10.5.77.1"}"#, "Network 10.5.0.0/16 gives out 10.5.1.0 to 10.5.255.255"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.1"}"#, "PublicIP 172.30.0.1 is this host's own"),
    ("10.5.9.0-24", #"{"PublicIP":"172.30.0.2"}"#, "PublicIP 172.30.0.2 is held by the older lease of 10.5.2.0-24"),
    ("10.6.9.0-24", #"{"PublicIP":"172.30.0.9"}"#, "10.6.9.0/24 lies outside Network 10.5.0.0/16"),
    ("10.4.0.0-14", #"{"PublicIP":"172.30.0.9"}"#, "10.4.0.0/14 lies outside Network 10.5.0.0/16"),
    ("0.0.0.0-0", #"{"PublicIP":"172.30.0.9"}"#, "0.0.0.0/0 lies outside Network 10.5.0.0/16"),
    ("10.5.0.0-16", #"{"PublicIP":"172.30.0.9"}"#, "10.5.0.0/16 is the whole of Network"),
    ("10.5.1.0-25", #"{"PublicIP":"172.30.0.9"}"#, "10.5.1.0/25 overlaps this host's own lease 10.5.1.0-24"),
    ("10.5.0.0-23", #"{"PublicIP":"172.30.0.9"}"#, "10.5.0.0/23 overlaps this host's own lease 10.5.1.0-24"),
    ("10.5.1.0-24&fd00::-64", #"{"PublicIP":"172.30.0.9"}"#, "overlaps this host's own lease 10.5.1.0-24"),
    ("10.5.2.0-25", #"{"PublicIP":"172.30.0.9"}"#, "10.5.2.0/25 overlaps the older lease of 10.5.2.0-24"),
    ("10.5.2.128-25", #"{"PublicIP":"172.30.0.9"}"#, "10.5.2.128/25 overlaps the older lease of 10.5.2.0-24"),
    ("10.5.2.0-23", #"{"PublicIP":"172.30.0.9"}"#, "10.5.2.0/23 overlaps the older lease of 10.5."),
    ("fd00:0:0:9::-64", #"{"PublicIP":"172.30.0.9","PublicIPv6":"fd01::9"}"#, "the key has no IPv4 subnet"),
    ("10.5.9.1-24", #"{"PublicIP":"172.30.0.9"}"#, "the key's name is not a subnet"),
    ("config", #"{"PublicIP":"172.30.0.9"}"#, "the key's name is not a subnet"),
    ("", #"{"PublicIP":"172.30.0.9"}"#, "the key's name is not a subnet"),
    ("10.5.9.0--24", #"{"PublicIP":"172.30.0.9"}"#, "the key's name is not a subnet"),
]

@Suite struct UnacceptableLeaseTests {
    private func set() throws -> LeaseSet {
        var set = LeaseSet(config: try NetworkConfig(json: Array(#"{"Network":"10.5.0.0/16"}"#.utf8)))
        _ = set.setOwn(key: SubnetKey("10.5.1.0-24"), publicIP: IPv4Address(172, 30, 0, 1), publicIPv6: nil)
        _ = set.replaceAll([
            record("10.5.1.0-24", good(1), 1), record("10.5.2.0-24", good(2), 2), record("10.5.3.0-24", good(3), 3),
        ])
        return set
    }

    private func check(_ record: LeaseRecord, _ reason: String) throws {
        var set = try set()
        let leases = set.leases
        #expect(leases.count == 2)
        #expect(set.put(record).isEmpty)
        #expect(set.leases == leases)
        #expect(set.rejections.map(\.name) == [record.name])
        #expect(set.rejections.first?.reason.contains(reason) == true, "\(set.rejections)")
        #expect(set.rejections.first?.reason.contains("\n") == false)
        let other = bystander("10.5.8.0-24")
        #expect(set.put(other).updated.count == 1, "a good lease beside it is taken")
        #expect(set.remove(name: record.name).isEmpty)
        #expect(set.rejections.isEmpty)
    }

    private func bystander(_ name: String) -> LeaseRecord { record(name, good(8), 100) }

    @Test(arguments: unacceptable.indices)
    func isIgnoredAlone(index: Int) throws {
        let (name, value, reason) = unacceptable[index]
        try check(record(name, Array(value.utf8), 50), reason)
    }

    @Test func invalidUTF8() throws {
        try check(
            record("10.5.9.0-24", Array(#"{"PublicIP":""#.utf8) + [0xc3, 0x28] + Array(#""}"#.utf8), 50),
            "a string that is not UTF-8")
    }

    @Test func oneMebibyte() throws {
        let value = Array(#"{"PublicIP":"172.30.0.9","x":""#.utf8) + [UInt8](repeating: 0x78, count: 1 << 20)
        try check(record("10.5.9.0-24", value + Array(#""}"#.utf8), 50), "more than the 65536 allowed")
    }

    @Test func deepNesting() throws {
        try check(record("10.5.9.0-24", [UInt8](repeating: 0x5b, count: 60_000), 50), "nested deeper than 64 levels")
    }
}
