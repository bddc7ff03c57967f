import Backends
import Logging
import Netlink
import Operations
import Synchronization

/// Follows the external interface: which it is, its address, its MTU.
actor HostWatcher {
    private let configuration: DaemonConfiguration
    private let kernel: any RouteNetlink
    private let health: HealthBoard
    private let logger: Logger
    private let families: Mutex<WantedFamilies?>
    private var current: ExternalInterface?
    private var later: Task<Void, Never>?
    private var awaySince: ContinuousClock.Instant?
    /// How long the interface in use, or its addresses, may be away before another is looked for.
    private static let patience = Duration.seconds(10)
    private let wake: AsyncStream<Void>.Continuation
    private let wakeups: AsyncStream<Void>

    /// - Parameter families: those of an earlier run; the network config is read later.
    init(
        configuration: DaemonConfiguration, families: WantedFamilies?, kernel: any RouteNetlink, health: HealthBoard,
        logger: Logger
    ) {
        self.configuration = configuration
        self.families = Mutex(families)
        self.kernel = kernel
        self.health = health
        self.logger = logger
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The families that the network config asks for.
    nonisolated func want(_ new: WantedFamilies) {
        let isNew = families.withLock { families in
            defer { families = new }
            return families != new
        }
        if isNew { wake.yield() }
    }

    /// The external interface as it is now; `nil` while none can be used.
    ///
    /// The interface in use is kept, and when it or an address of it is away that is waited for a while: a DHCP client or a
    /// cable may take it for a moment, and a change of interface or family moves the whole overlay.
    func look() -> HostFacts? {
        let families = families.withLock { $0 }
        do {
            if let current, current.facts.has(families) {
                let since = awaySince ?? .now
                let waits = since + Self.patience > .now
                let (interface, isWhole) = current.refreshed(
                    configuration, from: try HostInventory(reading: kernel, withRoutes: false), for: families,
                    waits: waits)
                awaySince = isWhole ? nil : since
                if isWhole || waits {
                    if isWhole { health.set(.noInterface, nil) } else { wakeLater() }
                    self.current = interface
                    return interface.facts
                }
            }
            let inventory = try HostInventory(reading: kernel, reaching: configuration.interfaceReaching)
            let chosen = try ExternalInterface.choose(configuration, from: inventory, for: families)
            if current?.facts.interface != chosen.facts.interface { say(chosen) }
            awaySince = nil
            health.set(.noInterface, nil)
            current = chosen
            return chosen.facts
        } catch {
            let away = current.map { "\($0.facts.interface) is away: " } ?? ""
            if health.set(.noInterface, "\(away)\(error)") {
                logger.error("waiting for an external interface", metadata: ["error": "\(away)\(error)"])
            }
            wakeLater()
            return nil
        }
    }

    private func say(_ chosen: ExternalInterface) {
        let facts = chosen.facts
        logger.info(
            "using the external interface",
            metadata: [
                "interface": "\(facts.interface)", "why": "\(chosen.reason)", "mtu": "\(facts.mtu)",
                "address": "\(facts.localIPv4.map { "\($0)" } ?? "none")",
                "public": "\(facts.publicIPv4.map { "\($0)" } ?? "none")",
                "ipv6": "\(facts.localIPv6.map { "\($0)" } ?? "none")",
                "publicIPv6": "\(facts.publicIPv6.map { "\($0)" } ?? "none")",
            ])
        if let address = chosen.addressBehindNAT {
            logger.info(
                "the public address is not this host's; NAT must lead it to the interface",
                metadata: ["public": "\(address)", "interface": "\(facts.interface)"])
        }
    }

    private func wakeLater() {
        later?.cancel()
        later = Task { [wake] in
            guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
            wake.yield()
        }
    }

    /// Waits for the first interface that can be used.
    func first() async throws -> HostFacts {
        while true {
            if let facts = look() { return facts }
            try await Task.sleep(for: .seconds(1))
        }
    }

    nonisolated func note(_ event: NetlinkEvent) {
        switch event {
        case .linkChanged, .linkRemoved, .addressChanged, .addressRemoved, .resync: wake.yield()
        case .routeChanged(let route), .routeRemoved(let route): if route.destination.length == 0 { wake.yield() }
        default: break
        }
    }

    /// Tells `changed` of each change until the task is cancelled.
    func run(changed: @Sendable (HostFacts) async -> Void) async {
        for await _ in wakeups {
            // An address that is replaced goes and comes; the pair is one change.
            guard (try? await Task.sleep(for: .milliseconds(50))) != nil else { return }
            let before = current?.facts
            if let facts = look(), facts != before { await changed(facts) }
        }
    }
}

extension HostFacts {
    /// Whether there is an address of each family; of one or the other while it is not known which are wanted.
    fileprivate func has(_ families: WantedFamilies?) -> Bool {
        guard let families else { return true }
        return (!families.ipv4 || localIPv4 != nil) && (!families.ipv6 || localIPv6 != nil)
    }
}
