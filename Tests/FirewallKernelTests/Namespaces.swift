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
        try await SubprocessRunner().run(
            "ip", ["netns", "exec", prefix + name, "busybox", "ping", "-q", "-c", "1", "-W", "1", address], input: ""
        ).exitStatus == 0
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
