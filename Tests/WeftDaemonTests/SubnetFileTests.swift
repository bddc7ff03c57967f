import Glibc
import IPNetwork
import Leases
import Testing

@testable import WeftDaemon

@Suite struct SubnetFileTests {
    static func config(_ text: String) throws -> NetworkConfig { try NetworkConfig(json: Array(text.utf8)) }

    @Test func textIsFlannels() throws {
        let config = try Self.config(#"{"Network":"10.0.0.0/16","Backend":{"Type":"vxlan"}}"#)
        let key = try #require(SubnetKey("10.0.19.0-24"))
        #expect(
            SubnetFile.text(config: config, key: key, mtu: 1450, masquerade: true)
                == "FLANNEL_NETWORK=10.0.0.0/16\nFLANNEL_SUBNET=10.0.19.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n")
        let dual = try Self.config(
            #"{"EnableIPv6":true,"Network":"10.0.0.0/16","IPv6Network":"fd00:10::/48","Backend":{"Type":"vxlan"}}"#)
        let dualKey = try #require(SubnetKey("10.0.19.0-24&fd00:10:0:19::-64"))
        #expect(
            SubnetFile.text(config: dual, key: dualKey, mtu: 1430, masquerade: false)
                == """
                FLANNEL_NETWORK=10.0.0.0/16
                FLANNEL_SUBNET=10.0.19.1/24
                FLANNEL_IPV6_NETWORK=fd00:10::/48
                FLANNEL_IPV6_SUBNET=fd00:10:0:19::1/64
                FLANNEL_MTU=1430
                FLANNEL_IPMASQ=false

                """)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let folder = "/tmp/weft-subnet-file-\(getpid())"
        defer {
            unlink("\(folder)/subnet.env")
            rmdir(folder)
        }
        let file = SubnetFile(path: "\(folder)/subnet.env")
        #expect(file.previousSubnet() == nil)
        let config = try Self.config(#"{"Network":"10.0.0.0/16","Backend":{"Type":"vxlan"}}"#)
        let key = try #require(SubnetKey("10.0.19.0-24"))
        let previous = umask(0o077)
        defer { umask(previous) }
        try file.write(SubnetFile.text(config: config, key: key, mtu: 1450, masquerade: true))
        #expect(file.previousSubnet() == key)
        var status = stat()
        stat(file.path, &status)
        #expect(status.st_mode & 0o777 == 0o644, "whatever the umask is")
        try file.write("FLANNEL_SUBNET=nonsense\n")
        #expect(file.previousSubnet() == nil)
    }

    @Test func aFailureNamesThePathAndTheRemedy() {
        let error = #expect(throws: (any Error).self) { try SubnetFile(path: "/proc/weft/subnet.env").write("x") }
        #expect("\(error.map { "\($0)" } ?? "")".contains("/proc/weft"))
    }
}
