import IPNetwork
import Logging
import Operations

/// Answers probes: `/healthz` says that the daemon runs, as flannel's does, `/readyz` whether the data plane holds what
/// the registry says, and if not why; `/metrics` is Prometheus's.
struct HealthServer: Sendable {
    let address: IPAddress
    let port: Int
    let health: HealthBoard
    let logger: Logger

    /// Serves until the task is cancelled.
    func run() async {
        let listener = HTTPListener(place: .address(address, port: port)) { [health] path in
            switch path {
            case "/healthz": .init("weftd is running\n")
            case "/readyz": .init(health.report, status: health.isReady ? .ok : .serviceUnavailable)
            case "/metrics": .init(health.metricsPage)
            default: .init("there is /healthz, /readyz and /metrics\n", status: .notFound)
            }
        }
        await listener.run { error in
            logger.error(
                "cannot serve health; choose another --healthz-port, or stop what uses it",
                metadata: ["address": "\(address)", "port": "\(port)", "error": "\(error)"])
        }
    }
}
