import Foundation
import IPNetwork
import Lab
import LinuxSystem
import Netlink
import Synchronization

/// A host of the lab: a namespace with eth0 on the switch, and the daemon in it.
final class LabHost: Sendable {
    /// The binary under test: WEFTD, else the one that was built beside the tests.
    static let binary: String = {
        if let path = ProcessInfo.processInfo.environment["WEFTD"] { return path }
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? program
        let folder = beside.split(separator: "/").dropLast().joined(separator: "/")
        return beside.hasPrefix("/") ? "/\(folder)/weftd" : "\(folder)/weftd"
    }()

    let namespace: String
    let address: String
    let kernel: NetlinkRouteSocket
    let directory: String
    private let endpoints: String
    private let daemon = Mutex<BackgroundProcess?>(nil)

    var subnetFile: String { "\(directory)/subnet.env" }
    var logPath: String { "\(directory)/weftd.log" }
    var log: String { (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: logPath)), as: UTF8.self)) ?? "" }
    var networkNamespace: NetworkNamespace { NetworkNamespace(named: namespace) }

    static func address(_ number: Int) -> String { "172.30.0.\(11 + number)" }

    /// The shell commands that make host `number`, from 0.
    static func script(_ number: Int, namespace: String, switch sw: String) -> String {
        """
        ip netns add \(namespace)
        ip -n \(sw) link add v\(number) type veth peer name eth0 netns \(namespace)
        ip -n \(sw) link set v\(number) master br0 up
        ip -n \(namespace) -batch - <<END
        link set lo up
        addr add \(address(number))/24 dev eth0
        link set eth0 up
        route add default via 172.30.0.1
        END
        ip netns exec \(namespace) sysctl -qw net.ipv4.ip_forward=1

        """
    }

    init(number: Int, namespace: String, directory: String, endpoints: String) throws {
        self.namespace = namespace
        self.endpoints = endpoints
        self.directory = "\(directory)/\(number + 1)"
        address = Self.address(number)
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        kernel = try NetlinkRouteSocket(namespace: NetworkNamespace(named: namespace))
    }

    // MARK: The daemon

    private func usualFlags(_ interface: String?) -> [String] {
        (interface.map { ["--iface=\($0)"] } ?? []) + [
            "--etcd-endpoints=\(endpoints)", "--ip-masq", "--subnet-file=\(subnetFile)",
            "--healthz-port=8471",
            "-v=1",
        ]
    }

    /// - Parameters:
    ///   - interface: for --iface, if any.
    ///   - wrapper: a program and its arguments that run the daemon.
    @discardableResult
    func start(
        _ flags: [String] = [], program: String = LabHost.binary, environment: [String: String] = [:],
        interface: String? = "eth0", wrapper: [String] = []
    ) throws -> BackgroundProcess {
        let process = try BackgroundProcess(
            ["ip", "netns", "exec", namespace] + wrapper + [program] + usualFlags(interface) + flags,
            environment: environment,
            log: logPath)
        daemon.withLock { $0 = process }
        return process
    }

    var process: BackgroundProcess? { daemon.withLock { $0 } }

    @discardableResult
    func stop(_ signal: Int32) -> Int32 {
        let process = daemon.withLock { process in
            defer { process = nil }
            return process
        }
        return process?.stop(signal) ?? 0
    }

    var subnetFileText: String { (try? String(contentsOfFile: subnetFile, encoding: .utf8)) ?? "" }

    func subnetFileValue(_ key: String) -> String? {
        subnetFileText.split(separator: "\n").first { $0.hasPrefix("\(key)=") }.map {
            String($0.dropFirst(key.count + 1))
        }
    }

    func waitForSubnetFile() async throws {
        try await eventually("\(namespace) has a subnet file") { self.subnetFileValue("FLANNEL_SUBNET") != nil }
    }

    /// How often a line of the log holds all of `words`.
    func logCount(_ words: String...) -> Int {
        log.split(separator: "\n").count { line in words.allSatisfy { line.contains($0) } }
    }

    func waitForLog(_ words: String...) async throws {
        try await eventually("\(namespace) logs \(words)") {
            self.log.split(separator: "\n").contains { line in words.allSatisfy { line.contains($0) } }
        }
    }

    /// The answer of the health server; `nil` when there is none.
    func health(_ path: String) -> (status: Int, body: String)? {
        guard
            let answer = try? HTTPConnection(namespace: networkNamespace, address: "127.0.0.1", port: 8471).get(path)
        else { return nil }
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    func waitUntilReady() async throws {
        try await eventually("\(namespace) is ready") { self.health("/readyz")?.status == 200 }
    }

    // MARK: The host

    func kernelText() throws -> [String] { try KernelText.observe(kernel) }

    /// Runs a shell script in the namespace.
    @discardableResult
    func shell(_ script: String) throws -> String {
        try run(["ip", "netns", "exec", namespace, "sh", "-ec", script])
    }

    /// iproute2 in the namespace, an argument a word.
    @discardableResult
    func ip(_ words: String) throws -> String {
        try run(["ip", "-n", namespace] + words.split(separator: " ").map(String.init))
    }

    /// Makes a bridge with the host's subnet, as a container engine would, and a container on it.
    func addContainer() throws -> LabContainer {
        guard let subnet = subnetFileValue("FLANNEL_SUBNET"), let mtu = subnetFileValue("FLANNEL_MTU") else {
            throw Failure("\(namespace) has no subnet file")
        }
        let gateway = String(subnet.split(separator: "/")[0])
        let container = "\(namespace)-c"
        let address = gateway.split(separator: ".").dropLast().joined(separator: ".") + ".2"
        try run([
            "sh", "-ec",
            """
            ip netns add \(container)
            ip -n \(namespace) -batch - <<END
            link add docker0 type bridge
            addr add \(subnet) dev docker0
            link set docker0 mtu \(mtu) up
            link add cv type veth peer name eth0 netns \(container)
            link set cv master docker0 mtu \(mtu) up
            END
            ip -n \(container) -batch - <<END
            link set lo up
            link set eth0 mtu \(mtu) up
            addr add \(address)/24 dev eth0
            route add default via \(gateway)
            END
            """,
        ])
        guard let parsed = IPv4Address(address) else { throw Failure("\(address) is no address") }
        return LabContainer(namespace: container, address: parsed)
    }
}

/// A container: a namespace on a host's bridge.
struct LabContainer: Sendable {
    let namespace: String
    let address: IPv4Address

    /// Pings `other`, a hundred times a second unless said, while `body` runs and for a moment before and after it.
    func pinging(
        _ other: LabContainer, interval: Duration = .milliseconds(10), _ body: () async throws -> Void
    ) async throws -> EchoProbe.Tally {
        let path = EchoProbe.Path(source: NetworkNamespace(named: namespace), destination: other.address)
        return try await EchoProbe.measure(path, interval: interval) {
            try await Task.sleep(for: .milliseconds(100))
            try await body()
            try await Task.sleep(for: .milliseconds(200))
        }.1
    }

    /// Waits until a ping of `other` is answered.
    @discardableResult
    func reach(_ other: LabContainer) async throws -> Duration {
        let path = EchoProbe.Path(source: NetworkNamespace(named: namespace), destination: other.address)
        return try await eventually("\(namespace) reaches \(other.address)") {
            try await EchoProbe.measure([path], count: 1, patience: .milliseconds(200))[0].received == 1
        }
    }
}
