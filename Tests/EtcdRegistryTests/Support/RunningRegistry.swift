import EtcdRegistry
import IPNetwork
import Leases
import Logging
import Synchronization

/// A registry at work for one host, and what it has published.
final class RunningRegistry: Sendable {
    struct State {
        var config: NetworkConfig?
        var own: Lease?
        var peers: [SubnetKey: Lease] = [:]
        var lost: Set<SubnetKey> = []
        var rejections: [LeaseRejection] = []
        var condition: RegistryCondition?
        var updates: [RegistryUpdate] = []
        var log: [String] = []
        var failure: (any Error)?
    }

    let registry: EtcdLeaseRegistry
    let publicIP: IPv4Address
    let publicIPv6: IPv6Address?
    private let state = Mutex(State())
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(
        _ store: any SubnetStore, publicIP: IPv4Address, publicIPv6: IPv6Address? = nil, previous: SubnetKey? = nil,
        renewMargin: Duration = .seconds(3600), removalGrace: Duration = .seconds(3), data: JSONValue? = nil
    ) {
        self.publicIP = publicIP
        self.publicIPv6 = publicIPv6
        let logs = LogLines()
        registry = EtcdLeaseRegistry(
            store: store, renewMargin: renewMargin, removalGrace: removalGrace, logger: logs.logger)
        self.previous = previous
        self.data = data
        logs.handle = { [weak self] line in self?.state.withLock { $0.log.append(line) } }
        start(publicIP)
    }

    private let previous: SubnetKey?
    private let data: JSONValue?
    /// A network config with this backend can't be used on this host.
    static let unusableBackend = "unusable"

    private func start(_ publicIP: IPv4Address) {
        let claim = LeaseClaim(publicIP: publicIP, publicIPv6: publicIPv6, previous: previous) {
            [data, publicIPv6] config, _, _ in
            if config.backendType == Self.unusableBackend { throw Failure(description: "no such backend") }
            if config.ipv6 != nil, publicIPv6 == nil { throw Failure(description: "no IPv6 address") }
            return LeaseAttributes(
                publicIP: config.ipv4 == nil ? nil : publicIP, publicIPv6: config.ipv6 == nil ? nil : publicIPv6,
                backendType: config.backendType, backendData: data)
        }
        let running = Task { [self] in
            do {
                try await registry.run(claim: claim) { [weak self] update in self?.note(update) }
            } catch {
                state.withLock { $0.failure = error }
            }
        }
        task.withLock { $0 = running }
    }

    /// Runs the registry again, from another address, as the daemon does.
    func move(to address: IPv4Address) async {
        await stop()
        start(address)
    }

    private func note(_ update: RegistryUpdate) {
        state.withLock {
            $0.config = update.config ?? $0.config
            $0.own = update.ownLease ?? $0.own
            $0.lost = update.lostSubnets ?? $0.lost
            $0.rejections = update.rejections ?? $0.rejections
            $0.condition = update.condition ?? $0.condition
            for (key, lease) in update.changes.updated { $0.peers[key] = lease }
            for key in update.changes.removed { $0.peers[key] = nil }
            $0.updates.append(update)
        }
    }

    var now: State { state.withLock { $0 } }

    func until(_ what: String, _ condition: @escaping @Sendable (State) -> Bool) async throws {
        do {
            try await eventually(what) { condition(self.now) }
        } catch {
            let now = now
            throw Failure(
                description:
                    "\(publicIP): \(error); own \(now.own?.key.description ?? "none"), \(now.peers.count) peers, "
                    + "\(String(describing: now.condition)), \(String(describing: now.failure)), log \(now.log.suffix(10))"
            )
        }
    }

    /// Waits for the first lease.
    @discardableResult
    func acquired() async throws -> Lease {
        try await until("a lease is acquired") { $0.own != nil }
        guard let own = now.own else { throw Failure(description: "no lease") }
        return own
    }

    func stop() async {
        let running = task.withLock { $0 }
        running?.cancel()
        await running?.value
    }
}

/// Collects log lines, level first.
final class LogLines: @unchecked Sendable {
    // Set once, before the logger is used by another task.
    var handle: @Sendable (String) -> Void = { _ in }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in LineHandler(lines: self) }
        logger.logLevel = .debug
        return logger
    }
}

private struct LineHandler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .debug
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.handle("\(event.level) \(event.message) \(event.metadata ?? [:])")
    }
}
