import Backends
import Logging
import Netlink
import Operations

/// Follows the external interface: which it is, its address, its MTU.
actor HostWatcher {
    private let configuration: DaemonConfiguration
    private let kernel: any RouteNetlink
    private let health: HealthBoard
    private let logger: Logger
    private var current: HostFacts?
    private var later: Task<Void, Never>?
    private var awaySince: ContinuousClock.Instant?
    /// How long the interface in use, or its addresses, may be away before another is looked for.
    private static let patience = Duration.seconds(10)
    private let wake: AsyncStream<Void>.Continuation
    private let wakeups: AsyncStream<Void>

    init(configuration: DaemonConfiguration, kernel: any RouteNetlink, health: HealthBoard, logger: Logger) {
        self.configuration = configuration
        self.kernel = kernel
        self.health = health
        self.logger = logger
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The external interface as it is now; `nil` while none can be used.
    ///
    /// The interface in use is kept, and when it or an address of it is away that is waited for a while: a DHCP client or a
    /// cable may take it for a moment, and a change of interface or family moves the whole overlay.
    func look() -> HostFacts? {
        do {
            if let current {
                let (facts, isWhole) = ExternalInterface.refresh(
                    current, configuration, from: try HostInventory(reading: kernel, withRoutes: false))
                if isWhole {
                    awaySince = nil
                    health.set(.noInterface, nil)
                    return use(facts)
                }
                let since = awaySince ?? .now
                awaySince = since
                if since + Self.patience > .now {
                    wakeLater()
                    return use(facts)
                }
            }
            let chosen = try ExternalInterface.choose(configuration, from: HostInventory(reading: kernel))
            if current?.interface != chosen.facts.interface {
                logger.info(
                    "using the external interface",
                    metadata: [
                        "interface": "\(chosen.facts.interface)", "why": "\(chosen.reason)",
                        "address": "\(chosen.facts.localIPv4.map { "\($0)" } ?? "none")",
                        "public": "\(chosen.facts.publicIPv4.map { "\($0)" } ?? "none")",
                        "mtu": "\(chosen.facts.mtu)",
                    ])
            }
            awaySince = nil
            health.set(.noInterface, nil)
            return use(chosen.facts)
        } catch {
            let away = current.map { "\($0.interface) is away: " } ?? ""
            if health.set(.noInterface, "\(away)\(error)") {
                logger.error("waiting for an external interface", metadata: ["error": "\(away)\(error)"])
            }
            wakeLater()
            return nil
        }
    }

    private func use(_ facts: HostFacts) -> HostFacts {
        current = facts
        return facts
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
            let before = current
            if let facts = look(), facts != before { await changed(facts) }
        }
    }
}
