import Backends
import EtcdRegistry
import Firewall
import Glibc
import IPNetwork
import Leases
import LinuxSystem
import Logging
import Netlink

/// `weftd --check`: looks at everything that a start depends on and changes nothing.
public struct Preflight: Sendable {
    /// A finding a line.
    public struct Report: Sendable {
        private enum Mark: String {
            case good = "ok  "
            /// Worth knowing; a start works all the same.
            case note = "note"
            case bad = "FAIL"
        }

        private var lines: [(mark: Mark, what: String, detail: String)] = []

        /// Nothing stands in the way of a start.
        public var isUsable: Bool { !lines.contains { $0.mark == .bad } }

        /// The findings as text, with a verdict at the end.
        public var text: String {
            let width = lines.map(\.what.count).max() ?? 0
            let body = lines.map { line in
                "\(line.mark.rawValue) \(line.what)\(String(repeating: " ", count: width - line.what.count))  \(line.detail)\n"
            }
            return body.joined()
                + (isUsable
                    ? "weftd would start; nothing was changed\n" : "weftd would not work; nothing was changed\n")
        }

        fileprivate mutating func good(_ what: String, _ detail: String) { lines.append((.good, what, detail)) }
        fileprivate mutating func note(_ what: String, _ detail: String) { lines.append((.note, what, detail)) }
        fileprivate mutating func bad(_ what: String, _ detail: String) { lines.append((.bad, what, detail)) }
    }

    private let configuration: DaemonConfiguration

    /// Looks at nothing yet: ``run()`` does.
    public init(configuration: DaemonConfiguration) { self.configuration = configuration }

    /// Looks at each thing in turn and goes on past what fails: a failure is a line of the report.
    public func run() async -> Report {
        var report = Report()
        report.good("flags", "understood")
        for setting in configuration.unused {
            report.note("setting", "\(setting.name) has no effect: \(setting.reason)")
        }
        let canAdminister = Capabilities.current.canAdministerNetwork
        if canAdminister {
            report.good("rights", "CAP_NET_ADMIN")
        } else {
            report.bad("rights", "CAP_NET_ADMIN is missing; run as root, or grant it")
        }
        let snapshot = await checkRegistry(&report)
        let config = snapshot?.config.flatMap { try? NetworkConfig(json: $0) }
        let host = checkInterface(config.map(WantedFamilies.init), &report)
        checkForwarding(&report)
        checkSubnetFile(&report)
        if configuration.masquerade || configuration.forwardRules { checkFirewall(&report) }
        if let snapshot { checkConfig(snapshot, host, &report) }
        return report
    }

    private func checkInterface(_ families: WantedFamilies?, _ report: inout Report) -> HostFacts? {
        do {
            let kernel = try NetlinkRouteSocket()
            let inventory = try HostInventory(reading: kernel, reaching: configuration.interfaceReaching)
            let chosen = try ExternalInterface.choose(configuration, from: inventory, for: families)
            let facts = chosen.facts
            let local = [facts.localIPv4.map(IPAddress.v4), facts.localIPv6.map(IPAddress.v6)].compactMap { $0 }
            let addresses = local.map(\.description).joined(separator: ", ")
            report.good("interface", "\(facts.interface) \(addresses) mtu \(facts.mtu), since \(chosen.reason)")
            if let address = chosen.addressBehindNAT {
                report.note("public", "\(address) is not on this host; NAT must lead it to \(facts.interface)")
            }
            return facts
        } catch {
            report.bad("interface", "\(error)")
            return nil
        }
    }

    private func checkForwarding(_ report: inout Report) {
        switch try? Sysctl.read("net/ipv4/ip_forward") {
        case "1"?: report.good("forwarding", "net.ipv4.ip_forward is 1")
        default:
            report.note(
                "forwarding", "net.ipv4.ip_forward is not 1; sysctl -w net.ipv4.ip_forward=1 (Docker does this)")
        }
    }

    private func checkSubnetFile(_ report: inout Report) {
        let path = configuration.subnetFile
        var folder = path
        repeat {
            folder = Folder.of(folder)
        } while !folder.isEmpty
            && access(folder, F_OK) != 0
        if access(folder.isEmpty ? "/" : folder, W_OK) == 0 {
            let previous = SubnetFile(path: path).previousSubnet().map { "holds \($0) from an earlier run" }
            report.good("subnet file", "\(path) \(previous ?? "can be written")")
        } else {
            report.bad("subnet file", "\(folder) cannot be written; mount it writable, or choose another --subnet-file")
        }
    }

    private func checkFirewall(_ report: inout Report) {
        let runner = SubprocessRunner()
        let found = ["iptables-restore", "nft"].filter { runner.locate($0) != nil }
        if found.isEmpty {
            report.bad("firewall", "neither iptables-restore nor nft is installed; install nftables or iptables")
        } else {
            report.good("firewall", "found \(found.joined(separator: " and "))")
        }
    }

    private func checkRegistry(_ report: inout Report) async -> SubnetSnapshot? {
        let store: any SubnetStore
        do {
            store = configuration.etcdAPI.store(
                configuration: try configuration.etcd(),
                logger: Logger(label: "check") { _ in SwiftLogNoOpLogHandler() })
        } catch {
            report.bad("registry", "\(error)")
            return nil
        }
        var failures: [String] = []
        for (index, endpoint) in store.endpoints.enumerated() {
            do {
                let snapshot = try await Self.snapshot(of: store, endpoint: index)
                let unused = failures.isEmpty ? "" : "; not usable: \(failures.joined(separator: "; "))"
                report.good("registry", "\(endpoint) holds \(snapshot.leases.count) leases\(unused)")
                return snapshot
            } catch {
                failures.append("\(endpoint): \(error)")
            }
        }
        report.bad("registry", failures.joined(separator: "; "))
        return nil
    }

    /// Whether the kernel has VXLAN, without making a device.
    private func checkVXLAN(_ report: inout Report) {
        if Self.missing(["vxlan"]).isEmpty {
            report.good("kernel", "has vxlan")
        } else {
            report.note("kernel", Self.advice(["vxlan"]))
        }
    }

    /// The modules among these that are neither loaded nor on the disk.
    private static func missing(_ modules: [String]) -> [String] {
        let lists = ["modules.builtin", "modules.dep"].map { name in
            (try? TextFile.read("\(moduleFolder)/\(name)", limit: 4 << 20)) ?? ""
        }
        return modules.filter { module in
            access("/sys/module/\(module)", F_OK) != 0 && !lists.contains { $0.contains("/\(module).ko") }
        }
    }

    private static var moduleFolder: String { "/lib/modules/\((try? Sysctl.read("kernel/osrelease")) ?? "")" }

    private static func advice(_ missing: [String]) -> String {
        "\(missing.joined(separator: ", ")) \(missing.count == 1 ? "is" : "are") neither loaded nor in \(moduleFolder); "
            + "unless built in, install the kernel's extra modules"
    }

    /// The udp backend's plane, without making a tunnel to try it: a start may still find that the kernel refuses one.
    private func checkPlane(_ config: NetworkConfig, _ host: inout HostFacts, _ report: inout Report) {
        guard UDPBackend.mayUseKernel(config) else { return }
        if let obstacle = UDPBackend.kernelObstacle(to: config) {
            report.note("data plane", "userspace, since \(obstacle)")
            return
        }
        let modules = ["fou", "ipip"]
        let missing = Self.missing(modules)
        let isNeeded = UDPBackend.needsKernel(config)
        // One that is built in shows nowhere where the disk has no list of modules.
        if missing.isEmpty || isNeeded {
            host.kernelPlane = .available
        } else {
            host.kernelPlane = .unavailable(Self.advice(missing))
        }
        if missing.isEmpty {
            report.good("data plane", "the kernel's: has \(modules.joined(separator: ", "))")
        } else {
            report.note("data plane", "\(isNeeded ? "the kernel's" : "userspace"): \(Self.advice(missing))")
        }
    }

    private static func snapshot(of store: any SubnetStore, endpoint: Int) async throws -> SubnetSnapshot {
        let (snapshots, found) = AsyncStream<SubnetSnapshot>.makeStream()
        try await store.withSession(endpoint: endpoint) { session in
            found.yield(try await session.snapshot())
        }
        found.finish()
        for await snapshot in snapshots { return snapshot }
        throw StoreError(.unavailable, cause: "no answer from \(store.endpoints[endpoint])")
    }

    private func checkConfig(_ snapshot: SubnetSnapshot, _ host: HostFacts?, _ report: inout Report) {
        let key = "\(configuration.etcdPrefix)/config"
        guard let text = snapshot.config else {
            report.bad("config", "\(key) is not there; \(configuration.etcdAPI.configCommand(key: key))")
            return
        }
        let config: NetworkConfig
        do {
            config = try NetworkConfig(json: text)
        } catch {
            report.bad("config", "\(error)")
            return
        }
        let networks = [config.ipv4.map { "\($0.network)" }, config.ipv6.map { "\($0.network)" }].compactMap { $0 }
        report.good("config", "\(networks.joined(separator: ", ")), backend \(config.backendType)")
        guard var host else { return }
        checkPlane(config, &host, &report)
        do {
            let backend = try BackendCatalogue.make(config: config, host: host)
            report.good("backend", "\(config.backendType) with MTU \(backend.mtu)")
            if config.backendType == VXLANBackend.type { checkVXLAN(&report) }
        } catch {
            report.bad("backend", "\(error)")
            return
        }
        var leases = LeaseSet(config: config)
        _ = leases.replaceAll(snapshot.leases)
        let own = leases.leases(
            withPublicIP: config.ipv4 == nil ? nil : host.publicIPv4, publicIPv6: host.publicIPv6
        ).first
        report.good(
            "lease",
            own.map { "would take \($0.key) again" } ?? "would take a free subnet; \(leases.leases.count) peers")
        for rejection in leases.rejections.prefix(10) {
            report.note("ignored", "\(rejection.name): \(rejection.reason)")
        }
    }
}
