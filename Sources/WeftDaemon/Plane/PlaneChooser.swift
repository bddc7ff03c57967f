import Backends
import KernelState
import Leases
import LinuxSystem
import Logging
import Netlink
import Operations
import Reconcile

/// Which data plane the udp backend uses on this host, and why; another one after one that could not be brought up.
struct PlaneChooser: Sendable {
    private let probe: KernelPlaneProbe
    private let health: HealthBoard
    private let logger: Logger
    /// What carries the packets of the udp backend; `nil` with another backend, and before the first.
    private(set) var current: UDPPlaneChoice?
    /// What takes the place of a plane that failed, until the config's Backend is another.
    private var fallback: (backend: JSONValue, choice: UDPPlaneChoice)?
    private var hasLooked = false
    private var known: (backend: JSONValue, answer: KernelPlaneSupport)?

    init(probe: KernelPlaneProbe, health: HealthBoard, logger: Logger) {
        self.probe = probe
        self.health = health
        self.logger = logger
    }

    /// The host's facts, and for the udp backend whether its kernel can carry the packets, as far as that matters.
    mutating func facts(_ host: HostFacts, for config: NetworkConfig) -> HostFacts {
        if fallback?.backend != config.backend { fallback = nil }
        var host = host
        host.forcedPlane = fallback?.choice
        if fallback == nil, UDPBackend.mayUseKernel(config), UDPBackend.kernelObstacle(to: config) == nil {
            host.kernelPlane = support(for: config)
        }
        return host
    }

    /// Asked once for a Backend: a plane that carries packets is not left for another because of a
    /// module that comes or goes, or a kernel that is busy.
    private mutating func support(for config: NetworkConfig) -> KernelPlaneSupport {
        if let known, known.backend == config.backend { return known.answer }
        do throws(NetlinkError) {
            let answer = try probe.support()
            known = (config.backend, answer)
            return answer
        } catch {
            return known?.answer ?? .unavailable("the kernel cannot be asked: \(error)")
        }
    }

    /// What an earlier process's kernel plane left behind; at the first call alone.
    mutating func takeLeftovers() -> KernelPlaneProbe.Leftovers {
        defer { hasLooked = true }
        return hasLooked ? KernelPlaneProbe.Leftovers() : probe.leftovers()
    }

    /// Looks at the pass that was to bring the backend up.
    ///
    /// - Returns: false when its plane failed and ``facts(_:for:)`` names another for the next try: the one that carried
    ///   the packets before, or at a start, where the config leaves it open, the userspace plane.
    mutating func judge(_ report: PassReport, of backend: any Backend) -> Bool {
        guard let udp = backend as? UDPBackend else {
            note(nil)
            return true
        }
        let plane = udp.choice.plane
        let other = current?.plane ?? (udp.choosesFreely && plane == .kernel ? .userspace : plane)
        if fallback == nil, other != plane, let cause = Self.failure(report) {
            let choice = UDPPlaneChoice(plane: other, reason: "the \(plane.rawValue) plane failed: \(cause)")
            fallback = (udp.backendConfig, choice)
            logger.error(
                "the udp backend's data plane cannot be brought up, the other one carries the packets",
                metadata: ["failed": "\(plane.rawValue)", "error": "\(cause)"])
            return false
        }
        note(udp.choice)
        return true
    }

    /// What of the plane itself the kernel refused: a port or an interface.
    private static func failure(_ report: PassReport) -> String? {
        if let error = report.error { return error }
        let causes = report.failures.filter { key, _ in
            switch key {
            case .link, .fouPort: true
            default: false
            }
        }
        return causes.values.min()
    }

    private mutating func note(_ choice: UDPPlaneChoice?) {
        guard choice != current else { return }
        current = choice
        health.note("data plane", choice.map { "\($0)" })
        guard let choice else { return }
        logger.notice(
            "the udp backend's data plane",
            metadata: ["plane": "\(choice.plane.rawValue)", "reason": "\(choice.reason)"])
    }
}
