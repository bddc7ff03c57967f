import IPNetwork
import LinuxSystem
import Testing

@testable import Containers

@Suite struct ParsingTests {
    /// RFC 1321, appendix A.5.
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a"
        ),
    ]) func md5(_ text: String, _ expected: String) {
        let digits = MD5.digest(of: Array(text.utf8)).map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }
        #expect(digits.joined() == expected)
    }

    @Test(
        arguments: [
            ("", nil, nil), ("@10", nil, 10), ("02:00:00:00:00:01@20@x", "02:00:00:00:00:01", 20),
            ("U:my  host ", "02:ca:29:2f:1b:4a", nil),
        ] as [(String, String?, UInt16?)])
    func hardwareAddress(_ text: String, _ mac: String?, _ vlan: UInt16?) throws {
        let argument = try HardwareAddressArgument(parsing: text)
        if text.hasPrefix("U:") {
            #expect(argument.hardwareAddress == HardwareAddressArgument.stable("my host"))
        } else {
            #expect(argument.hardwareAddress == mac.flatMap { MACAddress($0) })
        }
        #expect(argument.vlan == vlan)
    }

    @Test func netmask() throws {
        #expect(try FixedAddress(parsing: "10.0.0.1/255.255.255.0").prefixLength == 24)
        #expect(try FixedAddress(parsing: "10.0.0.1/255.255.255.255").prefixLength == 32)
        #expect(try FixedAddress(parsing: "10.0.0.1/24").broadcast == IPv4Address("10.0.0.255"))
        #expect(throws: AttachError.self) { try FixedAddress(parsing: "10.0.0.1/255.0.255.0") }
    }

    /// Each is refused before anything is done, as a mistake of the command line, naming the word.
    @Test(arguments: [
        ("", "interface"), ("br1", "container"), ("br1 W", "address"), ("br1 W 10.0.0.1", "10.0.0.1/24"),
        ("br1 W fd00::1", "fd00::1/64"), ("br1 W 10.0.0.1/33", "/33"), ("br1 W 10.0.0.1/24@", "gateway"),
        ("br1 W 10.0.0.1/24@fd00::1", "families"), ("br1 W 10.0.0.1/24@10.0.0.1", "own address"),
        ("br1 W 10.0.0.256/24", "10.0.0.256"), ("br1 W 10.0.0.1/24 @0", "0"), ("br1 W 10.0.0.1/24 @4095", "4095"),
        ("br1 W 10.0.0.1/24 01:00:00:00:00:01", "lowest bit"), ("br1 W 10.0.0.1/24 zz", "zz"),
        ("br1 W 10.0.0.1/24 @5 more", "more"), ("br1 -i W", "container"), ("br1 -i", "-i"),
        ("br1 -i averylonginterface W 0/0", "averylonginterface"), ("br1 -a 5 W 0/0", "5"),
        ("br1 -a 6 W 10.0.0.1/24", "family"), ("mac:nonsense W 0/0", "nonsense"), ("br/1 W 0/0", "br/1"),
        ("br1 pid:0 0/0", "0"), ("br1 netns:../x 0/0", "../x"), ("br1 --help 0/0", "--help"),
    ]) func refused(_ line: String, _ word: String) throws {
        let error = try #require(throws: AttachError.self) {
            try ReadmeTests.parse(line.split(separator: " ").map(String.init))
        }
        #expect(error.isUsage)
        #expect(error.description.contains(word), "\(error)")
    }

    /// Refused with the host in view, and nothing done.
    @Test(arguments: [
        ("br0 W 0/0 @5", "VLAN"), ("nothing0 W 0/0", "nothing0"), ("lo W 0/0", "loopback"),
        ("mac:02:99:00:00:00:01 W 0/0", "02:99"), ("eth0 -l host0 W 0/0", "-l"), ("br0 -i eth0 W 0/0", "eth0 already"),
        ("br0 -l eth3 W 0/0", "eth3 already"), ("dummy W 0/0 @3", "VLAN"),
    ]) func refusedByTheHost(_ line: String, _ word: String) throws {
        guard case .attach(let request) = try ReadmeTests.parse(line.split(separator: " ").map(String.init)) else {
            Issue.record("no attachment")
            return
        }
        let error = try #require(throws: AttachError.self) {
            try ReadmeTests.plan(request, having: [name("lo"), name("eth0")])
        }
        #expect(!error.isUsage && error.description.contains(word), "\(error)")
    }

    @Test func openVSwitchHasToBeInstalled() throws {
        guard case .attach(let request) = try ReadmeTests.parse(["ovs7", "W", "0/0"]) else { return }
        var host = ReadmeTests.host
        host.switches = nil
        #expect(throws: AttachError.self) { try ReadmeTests.plan(request, on: host) }
    }

    @Test func switchThatNobodyCouldAskAboutIsNoParent() throws {
        guard case .attach(var request) = try ReadmeTests.parse(["ovsbr0", "W", "0/0"]) else { return }
        var host = ReadmeTests.host
        host.switches = nil
        host.switchesFailure = "the database does not answer"
        for kind in ["openvswitch", "tun"] {
            let position = try #require(host.interfaces.firstIndex { $0.name.text == "ovsbr0" })
            host.interfaces[position].kind = kind
            let error = #expect(throws: AttachError.self) { try ReadmeTests.plan(request, on: host) }
            #expect(error?.message.contains("does not answer") == true)
        }
        // Said by the operator, it is a plain interface; another parent is none of it.
        request.kind = .macvlan
        #expect(try ReadmeTests.plan(request, on: host).kind == .macvlan)
        guard case .attach(let other) = try ReadmeTests.parse(["eth2", "W", "0/0"]) else { return }
        #expect(try ReadmeTests.plan(other, on: host).kind == .macvlan)
    }

    @Test func optionsOfWeft() throws {
        var arguments = AttachArguments(words: ["eth0", "docker:web1", "10.0.0.2/24@10.0.0.1"])
        arguments.addresses = ["fd00::2/64@fd00::1"]
        arguments.kind = .ipvlan
        arguments.vlan = "7"
        arguments.isKept = true
        guard case .attach(let request) = try arguments.commandLine(exists: { _ in false }) else { return }
        #expect(request.container.engine == .docker && request.isKept)
        #expect(
            try ReadmeTests.plan(request).steps.map { "\($0)" } == [
                "create eth0.7, VLAN 7 of eth0", "set eth0.7 up", "create ipvlan eth1 on eth0.7",
                "add 10.0.0.2/24 to eth1", "add fd00::2/64 to eth1", "set eth1 up in the container",
                "route by default via 10.0.0.1 on eth1", "route by default via fd00::1 on eth1",
            ])
        arguments.hardwareAddress = "02:00:00:00:00:01"
        guard case .attach(let second) = try arguments.commandLine(exists: { _ in false }) else { return }
        #expect(throws: AttachError.self) { try ReadmeTests.plan(second) }
        arguments = AttachArguments(words: ["route", "W", "show"])
        arguments.isKept = true
        #expect(throws: AttachError.self) { try arguments.commandLine { _ in false } }
    }

    @Test(
        arguments: [
            ("web1", nil, "web1"), ("podman:web1", .podman, "web1"), ("/var/run/netns/blue", .netns, "blue"),
            ("containerd:k8s.io/abc", .containerd, "k8s.io/abc"), ("pid:12", .pid, "12"), ("4711", nil, "4711"),
        ] as [(String, ContainerReference.Engine?, String)])
    func containers(_ text: String, _ engine: ContainerReference.Engine?, _ name: String) throws {
        let reference = try ContainerReference(parsing: text)
        #expect(reference.engine == engine && reference.name == name)
    }
}
