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

    /// Starts nothing: ``run()`` does.
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
        let claims = HostClaims()
        // Before anything that takes its time: packets wait for it. Unless another weftd has it.
        let tunnel = TunnelKeeper(file: TunnelRecordFile(configuration), health: health, logger: logger)
        if (try? claims.hold(SubnetFile(path: configuration.subnetFile))) != nil { await tunnel.resume() }
        // The monitor comes before the first reading, so that no change falls between the two.
        let kernel = try NetlinkRouteSocket()
        let monitor = try NetlinkMonitor(ignoring: kernel)
        let watcher = HostWatcher(
            configuration: configuration,
            families: SubnetFile(path: configuration.subnetFile).previousSubnet().map(WantedFamilies.init),
            kernel: kernel, health: health, logger: logger)
        let etcd = try configuration.etcd()
        let registry = EtcdLeaseRegistry(
            store: configuration.etcdAPI.store(configuration: etcd, logger: logger), renewMargin: etcd.renewMargin,
            logger: logger)
        let reconciler = Reconciler(kernel: kernel, logger: logger)
        let firewall = FirewallKeeper(
            resync: .seconds(configuration.firewallResync), logger: logger)
        let status = StatusServer(path: configuration.statusSocket, health: health, logger: logger)
        let services = [
            Part("status") { await status.run() },
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
                // A service manager starts it again, and a start reads everything.
                guard Task.isCancelled else { throw DaemonError("the kernel's notifications ended") }
            },
            Part("reconciler") { await reconciler.run() },
            Part("firewall") { await firewall.run() },
            Part("firewall events") { [logger] in await FirewallEvents(firewall: firewall, logger: logger).run() },
            Part("overlay") { [self] in
                try await waitForSubnetFile(claims, health)
                let host = try await watcher.first()
                let controller = OverlayController(
                    configuration: configuration, claims: claims, host: host, kernel: kernel, reconciler: reconciler,
                    firewall: firewall, tunnel: tunnel, notifier: notifier, health: health, logger: logger)
                status.follow(controller)
                try await follow(registry, watcher, controller, host, health)
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
        // It carries packets to the last: the process takes it along.
        withExtendedLifetime(tunnel) {}
    }

    /// Until no other weftd on this host writes the same file: a second daemon with the first one's settings touches
    /// nothing, and goes on when the first has ended.
    private func waitForSubnetFile(_ claims: HostClaims, _ health: HealthBoard) async throws {
        while true {
            do throws(HostClaims.Conflict) {
                try claims.hold(SubnetFile(path: configuration.subnetFile))
                health.set(.subnetFileUnwritable, nil)
                return
            } catch {
                if health.set(.subnetFileUnwritable, "\(error)") {
                    logger.error(
                        "another weftd on this host has the same subnet file; waiting until it ends",
                        metadata: ["error": "\(error)"])
                    notifier.status("waiting: \(error)")
                }
            }
            try await Task.sleep(for: .seconds(1))
        }
    }

    private func follow(
        _ registry: EtcdLeaseRegistry, _ watcher: HostWatcher, _ controller: OverlayController, _ host: HostFacts,
        _ health: HealthBoard
    ) async throws {
        let mailbox = UpdateMailbox()
        let follower = RegistryFollower(
            registry: registry, subnetFile: SubnetFile(path: configuration.subnetFile), host: host,
            wants: { watcher.want($0) })
        try await withThrowingTaskGroup { group in
            group.addTask { try await follower.run { mailbox.put($0) } }
            group.addTask {
                for await _ in mailbox.arrivals {
                    let delivery = mailbox.take()
                    if delivery.isRetry { await controller.retry() }
                    if let facts = delivery.facts { await controller.take(facts) }
                    if let update = delivery.update { await controller.take(update) }
                }
            }
            group.addTask {
                await watcher.run { new in
                    mailbox.put(new)
                    follower.take(new)
                }
            }
            group.addTask {
                while (try? await Task.sleep(for: .seconds(1))) != nil {
                    if await controller.tick() { mailbox.putRetry() }
                }
            }
            // Not waitForAll, which would wait for the others after an error of one.
            for try await _ in group {}
        }
    }
}

/// Why the daemon cannot go on.
struct DaemonError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
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
    func etcd() throws(ConfigurationError) -> EtcdConfiguration {
        do throws(EtcdConfigurationError) {
            return try EtcdConfiguration(
                endpoints: etcdEndpoints, prefix: etcdPrefix,
                tls: EtcdTLS(caFile: etcdCAFile, certificateFile: etcdCertificateFile, keyFile: etcdKeyFile),
                credentials: etcdUsername.map { EtcdCredentials(user: $0, password: etcdPassword ?? "") },
                renewMargin: .seconds(renewMargin * 60))
        } catch {
            throw ConfigurationError("--\(error)")
        }
    }
}
