import Glibc
import Logging
import Synchronization
import Testing

@testable import Firewall

/// Network namespaces of one test, removed by ``remove()``.
struct Namespaces {
    private static let counter = Atomic<Int>(0)
    private let prefix = "fw\(getpid())-\(counter.add(1, ordering: .relaxed).newValue)-"
    private let names: [String]
    private var anchors: [String] = []

    /// Each has a process in it, so that its /proc/PID/net can be read from outside.
    init(_ names: [String]) async throws {
        self.names = names
        for name in names {
            try await Self.shell("ip netns add \(prefix)\(name) && ip -n \(prefix)\(name) link set lo up")
            let start = "setsid ip netns exec \(prefix)\(name) sleep 600 >/dev/null 2>&1 </dev/null & echo $!"
            anchors.append(try await Self.shell(start).filter(\.isNumber))
        }
    }

    func remove() async {
        for anchor in anchors { _ = try? await Self.shell("kill \(anchor)") }
        for name in names { _ = try? await Self.shell("ip netns del \(prefix)\(name)") }
    }

    /// Runs `body` with namespaces that are removed afterwards, whatever happens.
    static func with(_ names: [String], _ body: (Namespaces) async throws -> Void) async throws {
        let namespaces = try await Namespaces(names)
        do {
            try await body(namespaces)
        } catch {
            await namespaces.remove()
            throw error
        }
        await namespaces.remove()
    }

    /// The full name, for `ip link set … netns`.
    subscript(_ name: String) -> String { prefix + name }

    func hostTables(_ name: String) -> HostTables {
        HostTables(directory: "/proc/\(anchors[names.firstIndex(of: name) ?? 0])/net")
    }

    /// - Parameter legacy: whether the plain `iptables` commands are iptables-legacy's.
    func keeper(_ name: String, _ preference: FirewallPreference, legacy: Bool = false) -> FirewallKeeper {
        FirewallKeeper(
            preference: preference, resync: .zero,
            runner: NamespaceRunner(
                base: SubprocessRunner(prefix: ["ip", "netns", "exec", prefix + name]), isLegacy: legacy),
            hostTables: hostTables(name),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    @discardableResult
    func run(_ name: String, _ script: String) async throws -> String {
        let result = try await SubprocessRunner().run(
            "ip", ["netns", "exec", prefix + name, "sh", "-e"], input: script)
        return try Self.output(result, script)
    }

    /// Whether one echo request is answered within a second.
    func pings(_ name: String, _ address: String) async throws -> Bool {
        let family = address.contains(":") ? "-6" : "-4"
        return try await SubprocessRunner().run(
            "ip",
            ["netns", "exec", prefix + name, "busybox", "ping", family, "-q", "-c", "1", "-W", "1", address], input: ""
        ).exitStatus == 0
    }

    /// Joins `container` (10.5.34.2, fd00:10:5:34::2), `outside` (192.0.2.2, 2001:db8::2) and `peer`, a container of
    /// another host (10.5.7.2, fd00:10:5:7::2), by `host`, which has .1 in each of the three.
    func wire() async throws {
        // The link-local addresses are used to find neighbours, and would be tentative for a second.
        for name in names {
            try await run(name, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        }
        for (name, ipv4, ipv6) in [
            ("container", "10.5.34", "fd00:10:5:34:"), ("outside", "192.0.2", "2001:db8:"),
            ("peer", "10.5.7", "fd00:10:5:7:"),
        ] {
            try await Self.shell(
                """
                set -e
                ip -n \(self["host"]) link add to-\(name) type veth peer name eth0 netns \(self[name])
                ip -n \(self["host"]) addr add \(ipv4).1/24 dev to-\(name)
                ip -n \(self["host"]) addr add \(ipv6):1/64 dev to-\(name) nodad
                ip -n \(self["host"]) link set to-\(name) up
                ip -n \(self[name]) addr add \(ipv4).2/24 dev eth0
                ip -n \(self[name]) addr add \(ipv6):2/64 dev eth0 nodad
                ip -n \(self[name]) link set eth0 up
                """)
        }
        try await run("host", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        try await run("container", "ip route add default via 10.5.34.1; ip route add default via fd00:10:5:34::1")
        try await run("peer", "ip route add default via 10.5.7.1; ip route add default via fd00:10:5:7::1")
        for address in ["fd00:10:5:34::2", "2001:db8::2", "fd00:10:5:7::2"] {
            for _ in 0..<20 { if try await pings("host", address) { break } }
        }
    }

    /// From now on `name` answers echo requests from `source` alone.
    func only(from source: String, _ name: String) async throws {
        let (family, icmp) = source.contains(":") ? ("ip6", "icmpv6") : ("ip", "icmp")
        try await run(
            name,
            """
            nft add table \(family) t
            nft 'add chain \(family) t c { type filter hook input priority 0; }'
            nft add rule \(family) t c \(icmp) type echo-request \(family) saddr != \(source) drop
            """)
    }

    @discardableResult
    static func shell(_ script: String) async throws -> String {
        try output(try await SubprocessRunner().run("sh", ["-c", script], input: ""), script)
    }

    private static func output(_ result: CommandOutput, _ script: String) throws -> String {
        guard result.exitStatus == 0 else { throw ScriptFailure(script: script, message: result.error) }
        return result.output
    }

    struct ScriptFailure: Error {
        var script: String
        var message: String
    }
}

/// The host's commands inside a namespace, with the plain `iptables` of the flavour that the test wants.
private struct NamespaceRunner: CommandRunner {
    var base: SubprocessRunner
    var isLegacy: Bool

    private func name(_ tool: String) -> String {
        for family in ["iptables", "ip6tables"] {
            for command in ["save", "restore"] where tool == "\(family)-\(command)" {
                return "\(family)-\(isLegacy ? "legacy" : "nft")-\(command)"
            }
        }
        return tool
    }

    func locate(_ tool: String) -> String? { base.locate(name(tool)) }

    func run(_ tool: String, _ arguments: [String], input: String) async throws(CommandFailure) -> CommandOutput {
        try await base.run(name(tool), arguments, input: input)
    }
}
