import Backends
import CLinux
import EtcdRegistry
import Firewall
import Glibc
import IPNetwork
import Leases
import LinuxSystem
import Logging
import Netlink
import Operations
import Reconcile
import ServiceLifecycle
import Synchronization

/// The daemon: its parts, and who tells whom.
public struct Daemon: Sendable {
    private let configuration: DaemonConfiguration
    private let notifier: ServiceNotifier
    private let logger: Logger

    public init(configuration: DaemonConfiguration, notifier: ServiceNotifier, logger: Logger) {
        self.configuration = configuration
        self.notifier = notifier
        self.logger = logger
    }

    /// Runs until a signal ends it. The data plane and the lease stay in place.
    ///
    /// - Throws: what makes running pointless: missing rights, a registry address that cannot be parsed.
    public func run() async throws {
        guard Capabilities.current.canAdministerNetwork else {
            throw ConfigurationError("weftd lacks CAP_NET_ADMIN; run it as root, or give it the capability")
        }
        let health = HealthBoard([.starting: "starting"])
        // The monitor comes before the first reading, so that no change falls between the two.
        let monitor = try NetlinkMonitor()
        let kernel = try NetlinkRouteSocket()
        let watcher = HostWatcher(configuration: configuration, kernel: kernel, health: health, logger: logger)
        let etcd = try configuration.etcd()
        let registry = EtcdLeaseRegistry(
            store: V3SubnetStore(configuration: etcd, logger: logger), renewMargin: etcd.renewMargin, logger: logger)
        let reconciler = Reconciler(kernel: kernel, logger: logger)
        let firewall = FirewallKeeper(
            resync: .seconds(configuration.firewallResync), logger: logger)
        let services = [
            Part("health") { [configuration, logger] in
                guard configuration.healthPort > 0 else { return try await Part.idle() }
                await HealthServer(
                    address: configuration.healthAddress, port: configuration.healthPort, health: health, logger: logger
                ).run()
            },
            Part("kernel events") {
                for await event in monitor {
                    await reconciler.note(event)
                    watcher.note(event)
                }
            },
            Part("reconciler") { await reconciler.run() },
            Part("firewall") { await firewall.run() },
            Part("firewall events") { [logger] in await FirewallEvents(firewall: firewall, logger: logger).run() },
            Part("overlay") { [self] in
                let host = try await watcher.first()
                let controller = OverlayController(
                    configuration: configuration, host: host, reconciler: reconciler, firewall: firewall,
                    notifier: notifier, health: health, logger: logger)
                try await follow(registry, watcher, controller, host)
            },
        ]
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map { .init(service: $0) },
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "services") { _ in SwiftLogNoOpLogHandler() }))
        try await group.run()
        notifier.stopping()
        logger.notice("stopped; devices, routes, rules and the lease stay in place")
    }

    private func follow(
        _ registry: EtcdLeaseRegistry, _ watcher: HostWatcher, _ controller: OverlayController, _ host: HostFacts
    ) async throws {
        let mailbox = UpdateMailbox()
        // The claim is asked again for each subnet that is tried, and must then speak of the host as it is.
        let facts = HostFactsBox(host)
        let claim = LeaseClaim(
            publicIP: host.publicIPv4, publicIPv6: host.publicIPv6,
            previous: SubnetFile(path: configuration.subnetFile).previousSubnet()
        ) { config, key, existing in
            try BackendCatalogue.make(config: config, host: facts.value).attributes(for: key, existing: existing)
        }
        try await withThrowingTaskGroup { group in
            group.addTask { try await registry.run(claim: claim) { mailbox.put($0) } }
            group.addTask {
                for await _ in mailbox.arrivals {
                    let delivery = mailbox.take()
                    if let facts = delivery.facts { await controller.take(facts) }
                    if let update = delivery.update { await controller.take(update) }
                }
            }
            group.addTask {
                await watcher.run { new in
                    let old = facts.value
                    facts.value = new
                    mailbox.put(new)
                    if (old.publicIPv4, old.publicIPv6) != (new.publicIPv4, new.publicIPv6) {
                        await registry.changePublicAddress(publicIP: new.publicIPv4, publicIPv6: new.publicIPv6)
                    }
                }
            }
            group.addTask {
                while (try? await Task.sleep(for: .seconds(1))) != nil { await controller.tick() }
            }
            try await group.waitForAll()
        }
    }
}

/// The host's facts, shared by the claim and the watcher.
private final class HostFactsBox: Sendable {
    private let content: Mutex<HostFacts>
    init(_ facts: HostFacts) { content = Mutex(facts) }
    var value: HostFacts {
        get { content.withLock { $0 } }
        set { content.withLock { $0 = newValue } }
    }
}

/// A part of the daemon as a service: it runs until the group shuts down.
private struct Part: Service, CustomStringConvertible {
    let description: String
    private let body: @Sendable () async throws -> Void

    init(_ description: String, _ body: @escaping @Sendable () async throws -> Void) {
        self.description = description
        self.body = body
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            do {
                try await body()
            } catch is CancellationError {}
        }
    }

    /// Nothing to do until the end.
    static func idle() async throws { while true { try await Task.sleep(for: .seconds(86_400)) } }
}

extension DaemonConfiguration {
    /// The registry's part of the configuration.
    func etcd() throws(EtcdConfigurationError) -> EtcdConfiguration {
        try EtcdConfiguration(
            endpoints: etcdEndpoints, prefix: etcdPrefix,
            tls: EtcdTLS(caFile: etcdCAFile, certificateFile: etcdCertificateFile, keyFile: etcdKeyFile),
            credentials: etcdUsername.map { EtcdCredentials(user: $0, password: etcdPassword ?? "") },
            renewMargin: .seconds(renewMargin * 60))
    }
}
