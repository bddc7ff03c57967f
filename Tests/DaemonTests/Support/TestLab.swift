import Foundation
import IPNetwork
import LinuxSystem
import Synchronization

/// Hosts as namespaces on one switch, with an etcd beside the switch. Names are unique, so that two runs do not meet.
final class TestLab: Sendable {
    static let vxlan = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#
    static let hostGateway = #"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#
    static let udp = #"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","DataPlane":"userspace"}}"#
    static let prefix = "/coreos.com/network"

    private static let count = Atomic(0)

    let name: String
    let directory: String
    let hosts: [LabHost]
    let etcd: [EtcdMember]

    var client: EtcdClient { etcd[0].client }
    var switchNamespace: String { "\(name)-sw" }
    var endpoints: String { etcd.map(\.url).joined(separator: ",") }

    /// Makes a lab, runs `body` in it and removes it, whatever comes of `body`.
    static func with(
        hosts: Int, config: String? = vxlan, members: Int = 1, etcdOptions: [String] = [],
        _ body: (TestLab) async throws -> Void
    ) async throws {
        removeLeftovers
        let lab = try TestLab(hosts: hosts, members: members, etcdOptions: etcdOptions)
        do {
            for member in lab.etcd { try member.launch() }
            for member in lab.etcd { try await member.waitUntilHealthy() }
            if let config { try lab.put(config: config) }
            try await body(lab)
        } catch {
            lab.remove(keepingLogs: true)
            throw error
        }
        lab.remove(keepingLogs: false)
    }

    private init(hosts: Int, members: Int, etcdOptions: [String]) throws {
        let name = "wd-\(getpid())-\(Self.count.wrappingAdd(1, ordering: .relaxed).newValue)"
        let directory = "\(NSTemporaryDirectory())/\(name)"
        let addresses = (1...members).map { "172.30.0.\($0)" }
        let sw = "\(name)-sw"
        self.name = name
        self.directory = directory
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        var script = """
            set -e
            ip netns add \(sw)
            ip -batch - <<END
            link add br0 netns \(sw) type bridge
            END
            ip -n \(sw) -batch - <<END
            link set lo up
            link set br0 up
            \(addresses.map { "addr add \($0)/16 dev br0" }.joined(separator: "\n"))
            END

            """
        for number in 0..<hosts { script += LabHost.script(number, namespace: "\(name)-\(number + 1)", switch: sw) }
        try run(["sh", "-c", script])
        etcd = addresses.map {
            EtcdMember(namespace: sw, address: $0, members: addresses, directory: directory, options: etcdOptions)
        }
        let endpoints = etcd.map(\.url).joined(separator: ",")
        self.hosts = try (0..<hosts).map {
            try LabHost(number: $0, namespace: "\(name)-\($0 + 1)", directory: directory, endpoints: endpoints)
        }
    }

    private func remove(keepingLogs: Bool) {
        if keepingLogs {
            for host in hosts {
                print("\(host.namespace):\n\((try? host.kernelText())?.joined(separator: "\n") ?? "")")
                print(host.log.suffix(4000))
            }
        }
        for host in hosts { host.stop(SIGKILL) }
        for member in etcd { member.stop() }
        Self.remove(labsNamed: name)
        try? FileManager.default.removeItem(atPath: directory)
    }

    private static func remove(labsNamed name: String) {
        let found = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
        for namespace in found where namespace.hasPrefix("\(name)-") {
            for pid in (try? run(["ip", "netns", "pids", namespace]))?.split(separator: "\n") ?? [] {
                if let pid = pid_t(pid) { kill(pid, SIGKILL) }
            }
            _ = try? run(["ip", "netns", "del", namespace])
        }
    }

    /// Labs of a test process that was killed.
    private static let removeLeftovers: Void = {
        for namespace in (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? [] {
            let parts = namespace.split(separator: "-")
            guard parts.count > 3, parts[0] == "wd", let pid = pid_t(parts[1]), kill(pid, 0) != 0 else { continue }
            remove(labsNamed: "wd-\(pid)-\(parts[2])")
        }
    }()

    // MARK: Registry

    func put(config: String) throws { try client.put("\(Self.prefix)/config", config) }

    func key(_ name: String) -> String { "\(Self.prefix)/subnets/\(name)" }

    func put(_ lease: ExpectedLease) throws { try client.put(key(lease.name), lease.value) }

    /// The leases in etcd, by the host that they name.
    func leases() throws -> [ExpectedLease] {
        try client.list(prefix: key("")).compactMap { record in
            try ExpectedLease(
                name: record.key.split(separator: "/").last.map(String.init) ?? "",
                value: String(decoding: record.value, as: UTF8.self))
        }
    }

    func lease(of host: LabHost) throws -> ExpectedLease {
        let held = try leases().filter { $0.publicIP == host.address }
        guard held.count == 1 else { throw Failure("\(host.address) holds \(held.count) leases") }
        return held[0]
    }

    // MARK: State

    /// What a host's kernel must hold, given the leases in etcd: exactly that.
    func expected(_ host: LabHost, mtu: Int = 1450) throws -> [String] {
        let all = try leases()
        guard let own = all.first(where: { $0.publicIP == host.address }) else { return ["a lease of \(host.address)"] }
        let peers = all.filter { $0 != own }
        guard !own.isUDP else { return own.udpHost() }
        guard own.mac != nil else { return peers.flatMap(\.hostGatewayPeer).sorted() }
        return (own.vxlanHost(mtu: mtu) + peers.flatMap(\.vxlanPeer)).sorted()
    }

    /// Waits until a host holds exactly what the leases in etcd ask for.
    @discardableResult
    func settle(_ host: LabHost, _ what: String = "") async throws -> Duration {
        try await eventually("\(host.namespace) \(what)", equals: { try self.expected(host) }) { try host.kernelText() }
    }

    /// Starts the daemon on every host and waits until all are as they must be.
    func startAll(_ flags: String...) async throws {
        for host in hosts { try host.start(flags) }
        for host in hosts { try await host.waitForSubnetFile() }
        for host in hosts { try await settle(host, "after the start") }
    }
}
