import IPNetwork
import LinuxSystem
import Testing

@testable import Containers

/// Every command line of pipework's README, on a host with the interfaces that it takes for granted, and what is done for
/// it. `W` stands for a container.
@Suite struct ReadmeTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var line: String
        var steps: [String]
        var switches: Set<String>? = ["ovsbr0"]
        var testDescription: String { line }

        init(_ line: String, _ steps: String...) {
            self.line = line
            self.steps = steps
        }
    }

    /// `eth0` to `eth3` are physical, `br0` is a bridge and `ovsbr0` a switch.
    static let host = HostSnapshot(
        interfaces: [
            .init(name: name("lo"), index: 1, type: 772, mtu: 65536),
            .init(name: name("eth0"), index: 2, hardwareAddress: MACAddress("00:f3:15:4a:42:c8")),
            .init(name: name("eth1"), index: 3, isUp: false), .init(name: name("eth2"), index: 4),
            .init(name: name("eth3"), index: 5), .init(name: name("br0"), index: 6, kind: "bridge", mtu: 1400),
            .init(name: name("ovsbr0"), index: 7), .init(name: name("ib0"), index: 8, type: 32),
        ], switches: ["ovsbr0"])

    static let pairIn1 = "create veth1pl4711 in bridge br1, and eth1 at its other end"

    static let examples: [Example] = [
        Example(
            "br1 W 192.168.1.1/24", "create bridge br1", pairIn1, "add 192.168.1.1/24 to eth1",
            "set eth1 up in the container"),
        Example(
            "br1 web1 192.168.12.23/24", "create bridge br1", pairIn1, "add 192.168.12.23/24 to eth1",
            "set eth1 up in the container"),
        Example(
            "br1 -i eth2 W 192.168.1.1/24", "create bridge br1",
            "create veth2pl4711 in bridge br1, and eth2 at its other end", "add 192.168.1.1/24 to eth2",
            "set eth2 up in the container"),
        Example(
            "br1 -i eth2 -l hostapp1 W 192.168.1.1/24", "create bridge br1",
            "create hostapp1 in bridge br1, and eth2 at its other end", "add 192.168.1.1/24 to eth2",
            "set eth2 up in the container"),
        Example(
            "br1 W 192.168.4.25/20", "create bridge br1", pairIn1, "add 192.168.4.25/20 to eth1",
            "set eth1 up in the container"),
        Example(
            "br1 W 192.168.4.25/20@192.168.4.1", "create bridge br1", pairIn1, "add 192.168.4.25/20 to eth1",
            "set eth1 up in the container", "route by default via 192.168.4.1 on eth1"),
        Example(
            "eth2 W 50.19.169.157/24", "create macvlan eth1 on eth2", "add 50.19.169.157/24 to eth1",
            "set eth1 up in the container"),
        Example(
            "eth3 W 107.22.140.5/24", "create macvlan eth1 on eth3", "add 107.22.140.5/24 to eth1",
            "set eth1 up in the container"),
        Example(
            "--direct-phys eth1 W 192.168.1.2/24", "move eth1 into the container as eth1", "add 192.168.1.2/24 to eth1",
            "set eth1 up in the container"),
        Example(
            "--direct-phys eth1 -i container0 W 0/0", "move eth1 into the container as container0",
            "set container0 up in the container"),
        Example(
            "--direct-phys mac:00:f3:15:4a:42:c8 -i container0 W 0/0", "move eth0 into the container as container0",
            "set container0 up in the container"),
        Example(
            "eth0 W 10.1.1.234/24@10.1.1.254", "create macvlan eth1 on eth0", "add 10.1.1.234/24 to eth1",
            "set eth1 up in the container", "route by default via 10.1.1.254 on eth1"),
        Example("br1 W 0/0", "create bridge br1", pairIn1, "set eth1 up in the container"),
        Example(
            "dummy W 192.168.21.101/24@192.168.21.1", "create dummy eth1", "add 192.168.21.101/24 to eth1",
            "set eth1 up in the container", "route by default via 192.168.21.1 on eth1"),
        Example(
            "eth1 W dhclient", "set eth1 up", "create macvlan eth1 on eth1", "set eth1 up in the container",
            "get an address for eth1 with dhclient"),
        Example(
            "eth1 W dhclient-f", "set eth1 up", "create macvlan eth1 on eth1", "set eth1 up in the container",
            "get an address for eth1 with dhclient"),
        Example(
            "eth1 W dhcp:-f", "set eth1 up", "create macvlan eth1 on eth1", "set eth1 up in the container",
            "get an address for eth1 with udhcpc:-f"),
        Example(
            "eth0 W 192.168.1.2/24 26:2e:71:98:60:8f", "create macvlan eth1 (26:2e:71:98:60:8f) on eth0",
            "add 192.168.1.2/24 to eth1", "set eth1 up in the container"),
        Example(
            "br0 W dhcp fa:de:b0:99:52:1c",
            "create veth1pl4711 in bridge br0, and eth1 (fa:de:b0:99:52:1c) at its other end",
            "set eth1 up in the container", "get an address for eth1 with dhcp"),
        Example(
            "eth0 W dhcp U:myhost.foo.com", "create macvlan eth1 (02:72:6c:cd:9b:8d) on eth0",
            "set eth1 up in the container", "get an address for eth1 with dhcp"),
        Example(
            "ovsbr0 W dhcp @10", "create veth1pl4711, and eth1 at its other end",
            "put veth1pl4711 into Open vSwitch ovsbr0 with VLAN 10", "set eth1 up in the container",
            "get an address for eth1 with dhcp"),
        Example(
            "ovsbr0 W 192.168.1.2/24", "create veth1pl4711, and eth1 at its other end",
            "put veth1pl4711 into Open vSwitch ovsbr0", "add 192.168.1.2/24 to eth1", "set eth1 up in the container"),
        Example(
            "ovsbr7 W 0/0", "create Open vSwitch ovsbr7", "create veth1pl4711, and eth1 at its other end",
            "put veth1pl4711 into Open vSwitch ovsbr7", "set eth1 up in the container"),
        // Beyond the README: a VLAN of a physical interface, and IPv6.
        Example(
            "eth1 W 10.0.0.2/24 @7", "set eth1 up", "create eth1.7, VLAN 7 of eth1", "set eth1.7 up",
            "create macvlan eth1 on eth1.7", "add 10.0.0.2/24 to eth1", "set eth1 up in the container"),
        Example(
            "br1 -a 6 W fd00::2/64@fd00::1", "create bridge br1", pairIn1, "add fd00::2/64 to eth1",
            "set eth1 up in the container", "route by default via fd00::1 on eth1"),
        Example(
            "br1 W 10.0.0.2/32@10.9.0.1", "create bridge br1", pairIn1, "add 10.0.0.2/32 to eth1",
            "set eth1 up in the container", "route by default via 10.9.0.1 on eth1, by a route of its own"),
    ]

    @Test(arguments: examples) func plan(_ example: Example) throws {
        let words = example.line.split(separator: " ").map(String.init)
        guard case .attach(let request) = try Self.parse(words) else {
            Issue.record("no attachment")
            return
        }
        #expect(try Self.plan(request).steps.map { "\($0)" } == example.steps)
    }

    @Test func weftAttachTakesTheSameWords() throws {
        for example in Self.examples where !example.line.hasPrefix("-") {
            let words = example.line.split(separator: " ").map(String.init)
            let options = words.filter { $0 != "-i" && $0 != "-l" && $0 != "-a" }
            guard options.count == words.count else { continue }
            #expect(try AttachArguments(words: words).commandLine { _ in false } == Self.parse(words))
        }
    }

    @Test func commandsInTheContainer() throws {
        let w = try ContainerReference(parsing: "W")
        for (line, tool) in [
            ("route W add 10.0.5.6/24 via 192.168.2.1", PipeworkCommandLine.Tool.route),
            ("route W replace default via 10.2.3.5.78", .route), ("rule W add from 172.19.0.2/32 table 1", .rule),
            ("rule W add to 172.19.0.2/32 table 1", .rule), ("tc W qdisc add dev eth0 root netem loss 30%", .tc),
        ] {
            let words = line.split(separator: " ").map(String.init)
            #expect(try Self.parse(words) == .run(tool, w, Array(words.dropFirst(2))))
        }
        #expect(PipeworkCommandLine.Tool.tc.command == ["tc"])
        #expect(PipeworkCommandLine.Tool.rule.command == ["ip", "rule"])
    }

    @Test func waiting() throws {
        #expect(try Self.parse(["--wait"]) == .wait(name("eth1")))
        #expect(try Self.parse(["--wait", "-i", "ib0"]) == .wait(name("ib0")))
    }

    @Test(arguments: ["ib0 W 10.10.10.10/24", "ib0 W 10.10.10.10/24 @8001", "ib7 W 10.10.10.10/24"])
    func infiniBandIsRefused(_ line: String) throws {
        let error = try #require(throws: AttachError.self) {
            guard case .attach(let request) = try Self.parse(line.split(separator: " ").map(String.init)) else {
                return
            }
            _ = try Self.plan(request)
        }
        #expect(error.message.contains("InfiniBand"))
    }

    static func parse(_ words: [String]) throws -> PipeworkCommandLine {
        try PipeworkCommandLine(parsing: words) { text in host.interfaces.contains { $0.name.text == text } }
    }

    static func plan(
        _ request: AttachmentRequest, on host: HostSnapshot = host, having interfaces: Set<InterfaceName> = []
    ) throws -> AttachmentPlan {
        try AttachmentPlan(
            request, host: host,
            container: ContainerSnapshot(interfaces: interfaces, number: 4711, hostName: "web1"),
            bridgeAddress: MACAddress(rawValue: 0x02_00_00_00_00_01))
    }
}

/// A name that is known to be one.
func name(_ text: String) -> InterfaceName {
    guard let name = InterfaceName(text) else { preconditionFailure("\(text) is no name") }
    return name
}
