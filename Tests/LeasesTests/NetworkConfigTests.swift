import IPNetwork
import Leases
import Testing

@Suite struct NetworkConfigTests {
    private func ipv4(_ text: String) throws -> String {
        let config = try NetworkConfig(json: Array(text.utf8))
        return try #require(config.ipv4).text
    }

    /// The defaults and bounds of flannel's CheckNetworkConfig.
    @Test(arguments: [
        (#"{"Network":"10.5.0.0/16"}"#, "10.5.0.0/16 /24 10.5.1.0...10.5.255.0"),
        (#"{"Network":"10.5.3.7/16"}"#, "10.5.0.0/16 /24 10.5.1.0...10.5.255.0"),
        (#"{"Network":"10.5.0.0/22"}"#, "10.5.0.0/22 /24 10.5.1.0...10.5.3.0"),
        (#"{"Network":"10.5.0.0/23"}"#, "10.5.0.0/23 /25 10.5.0.128...10.5.1.128"),
        (#"{"Network":"10.5.0.0/28"}"#, "10.5.0.0/28 /30 10.5.0.4...10.5.0.12"),
        (#"{"Network":"10.0.0.0/8","SubnetLen":20}"#, "10.0.0.0/8 /20 10.0.16.0...10.255.240.0"),
        (#"{"Network":"10.0.0.0/8","SubnetLen":0}"#, "10.0.0.0/8 /24 10.0.1.0...10.255.255.0"),
        (#"{"Network":"10.0.0.0/8","SubnetLen":null}"#, "10.0.0.0/8 /24 10.0.1.0...10.255.255.0"),
        (#"{"Network":"10.0.0.0/8","SubnetLen":30}"#, "10.0.0.0/8 /30 10.0.0.4...10.255.255.252"),
        (#"{"Network":"10.0.0.0/8","SubnetLen":10}"#, "10.0.0.0/8 /10 10.64.0.0...10.192.0.0"),
        (
            #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.10.0","SubnetMax":"10.5.20.0"}"#,
            "10.5.0.0/16 /24 10.5.10.0...10.5.20.0"
        ),
        (#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.0.0"}"#, "10.5.0.0/16 /24 10.5.0.0...10.5.255.0"),
        (
            #"{"Network":"10.5.0.0/16","SubnetMin":"0.0.0.0","SubnetMax":"0.0.0.0"}"#,
            "10.5.0.0/16 /24 10.5.1.0...10.5.255.0"
        ),
        (
            #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.7.0","SubnetMax":"10.5.7.0"}"#,
            "10.5.0.0/16 /24 10.5.7.0...10.5.7.0"
        ),
        (#"{"nETWORK":"10.5.0.0/16","SUBNETLEN":26,"Other":[1]}"#, "10.5.0.0/16 /26 10.5.0.64...10.5.255.192"),
        (#"{"Network":"10.9.0.0/16","network":"10.5.0.0/16"}"#, "10.5.0.0/16 /24 10.5.1.0...10.5.255.0"),
        (#"{"Network":"255.0.0.0/9","Network":"192.0.0.0/3"}"#, "192.0.0.0/3 /24 192.0.1.0...223.255.255.0"),
    ])
    func ipv4Rules(text: String, expected: String) throws {
        #expect(try ipv4(text) == expected)
    }

    @Test(arguments: [
        (
            #"{"EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"fd00:10:5::/48"}"#,
            "fd00:10:5::/48 /64 fd00:10:5:1::...fd00:10:5:ffff::"
        ),
        (
            #"{"EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"fd00::/62"}"#,
            "fd00::/62 /64 fd00:0:0:1::...fd00:0:0:3::"
        ),
        (
            #"{"EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"fd00::/63"}"#,
            "fd00::/63 /65 fd00::8000:0:0:0...fd00:0:0:1:8000::"
        ),
        (#"{"EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"fd00::/124"}"#, "fd00::/124 /126 fd00::4...fd00::c"),
        (
            #"{"EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"fd00::/48","IPv6SubnetLen":80,"IPv6SubnetMin":"fd00::5:0:0:0","IPv6SubnetMax":null}"#,
            "fd00::/48 /80 fd00::5:0:0:0...fd00:0:0:ffff:ffff::"
        ),
    ])
    func ipv6Rules(text: String, expected: String) throws {
        let config = try NetworkConfig(json: Array(text.utf8))
        #expect(config.ipv4 == nil)
        #expect(config.ipv6?.text == expected)
    }

    @Test(arguments: [
        (#"{"Network":"10.5.0.0/16"}"#, "udp", "{}"),
        (#"{"Network":"10.5.0.0/16","Backend":{"Type":"VXLAN","VNI":5}}"#, "vxlan", #"{"Type":"VXLAN","VNI":5}"#),
        (#"{"Network":"10.5.0.0/16","backend":{"type":"host-gw"}}"#, "host-gw", #"{"type":"host-gw"}"#),
        (
            #"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","TYPE":"Host-GW"}}"#, "host-gw",
            #"{"Type":"udp","TYPE":"Host-GW"}"#
        ),
    ])
    func backend(text: String, type: String, object: String) throws {
        let config = try NetworkConfig(json: Array(text.utf8))
        #expect(config.backendType == type)
        #expect(String(decoding: config.backend.serialised, as: UTF8.self) == object)
    }

    @Test func nftables() throws {
        let config = { (rest: String) in try NetworkConfig(json: Array("{\"Network\":\"10.5.0.0/16\"\(rest)}".utf8)) }
        #expect(try config("").enableNFTables == nil)
        #expect(try config(",\"enablenftables\":true").enableNFTables == true)
        #expect(try config(",\"EnableNFTables\":false").enableNFTables == false)
    }

    @Test func admits() throws {
        let single = try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.10.0","SubnetMax":"10.5.20.0"}"#.utf8))
        for (key, expected) in [
            ("10.5.10.0-24", true), ("10.5.20.0-24", true), ("10.5.9.0-24", false), ("10.5.21.0-24", false),
            ("10.5.10.0-25", false), ("10.6.10.0-24", false), ("10.5.10.0-24&fd00::-64", false), ("fd00::-64", false),
        ] {
            #expect(single.admits(try #require(SubnetKey(key))) == expected, "\(key)")
        }
        let dual = try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}"#.utf8))
        for (key, expected) in [
            ("10.5.10.0-24&fd00:0:0:1::-64", true), ("10.5.10.0-24", false), ("fd00:0:0:1::-64", false),
            ("10.5.10.0-24&fd00::-64", false), ("10.5.10.0-24&fd01:0:0:1::-64", false),
        ] {
            #expect(dual.admits(try #require(SubnetKey(key))) == expected, "\(key)")
        }
    }

    @Test(arguments: malformedConfigs)
    func refuses(text: String, message: String) {
        let error = #expect(throws: ConfigError.self) { try NetworkConfig(json: Array(text.utf8)) }
        #expect(error?.description == message)
        #expect(!message.contains("\n"))
    }

    @Test func refusesBinary() {
        #expect(throws: ConfigError.self) { try NetworkConfig(json: [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }
        let error = #expect(throws: ConfigError.self) {
            try NetworkConfig(json: [UInt8](repeating: 0x20, count: 1 << 20 + 1))
        }
        #expect(error?.description.contains("1048577 bytes, more than the 1048576 allowed") == true)
    }
}

extension AddressRange {
    fileprivate var text: String { "\(network) /\(subnetLength) \(subnetMin)...\(subnetMax)" }
}
