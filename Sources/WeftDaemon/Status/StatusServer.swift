import Logging
import Operations
import Synchronization

/// Answers `weft status` on a socket in the file system.
final class StatusServer: Sendable {
    private let path: String
    private let health: HealthBoard
    private let logger: Logger
    private let controller = Mutex<OverlayController?>(nil)

    init(path: String, health: HealthBoard, logger: Logger) {
        self.path = path
        self.health = health
        self.logger = logger
    }

    /// From here on there is something to tell of.
    func follow(_ controller: OverlayController) { self.controller.withLock { $0 = controller } }

    /// Serves until the task is cancelled.
    func run() async {
        let listener = HTTPListener(place: .socket(path: path)) { [self] path in
            guard path == "/status" else { return .init("there is /status\n", status: .notFound) }
            return .init(json: await report.json.serialised)
        }
        await listener.run { [logger, path] error in
            logger.warning(
                "cannot serve weft status; see that its folder can be written and that no second weftd has this file",
                metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    private var report: StatusReport {
        get async {
            var report = StatusReport(version: Version.current, isReady: health.isReady)
            report.conditions = health.conditions.map { condition, detail in
                .init(
                    name: condition.rawValue, severity: "\(condition.severity)",
                    text: "\(condition.summary): \(detail)", remedy: condition.remedy)
            }
            if let snapshot = await controller.withLock({ $0 })?.snapshot { report.describe(snapshot) }
            return report
        }
    }
}
