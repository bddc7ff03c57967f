import Synchronization

/// The conditions that hold at the moment, each with its detail. Written by all parts of the daemon, read by the health
/// server.
public final class HealthBoard: Sendable {
    private let details: Mutex<[HealthCondition: String]>
    private let notes = Mutex<[String: String]>([:])
    private let measures = Mutex<[String: [Metric]]>([:])

    /// - Parameter initial: conditions that hold until they are cleared.
    public init(_ initial: [HealthCondition: String] = [:]) { details = Mutex(initial) }

    /// What is worth knowing though nothing is wrong, by its name; `nil` when there is nothing to say.
    public func note(_ name: String, _ text: String?) { notes.withLock { $0[name] = text } }

    /// What a part of the daemon counts, in place of what it last said.
    public func measure(_ part: String, _ metrics: [Metric]) {
        measures.withLock { $0[part] = metrics.isEmpty ? nil : metrics }
    }

    /// The page for Prometheus.
    public var metricsPage: String {
        let conditions = conditions
        let holding = conditions.map { Metric.Sample($0.condition.rawValue, 1) }
        let own = [
            Metric(
                "weft_ready", .gauge, "Whether the data plane is as the registry says.",
                [Metric.Sample(nil, isReady ? 1 : 0)]),
            Metric("weft_condition", .gauge, "Conditions that hold.", label: "condition", holding),
        ]
        let parts = measures.withLock { $0 }.sorted { $0.key < $1.key }.flatMap(\.value)
        return (own + parts).map(\.text).joined()
    }

    /// Notes that a condition holds, or with `nil` that it does not.
    ///
    /// - Returns: whether that is news.
    @discardableResult
    public func set(_ condition: HealthCondition, _ detail: String?) -> Bool {
        details.withLock { details in
            let isNews = details[condition] != detail
            details[condition] = detail
            return isNews
        }
    }

    /// Whether the condition holds.
    public func holds(_ condition: HealthCondition) -> Bool { details.withLock { $0[condition] != nil } }

    /// The conditions that hold, the worst first.
    public var conditions: [(condition: HealthCondition, detail: String)] {
        details.withLock { $0 }.map { ($0.key, $0.value) }
            .sorted { ($1.condition.severity, $0.condition.rawValue) < ($0.condition.severity, $1.condition.rawValue) }
    }

    /// What a readiness probe is told: false while a condition holds that blocks readiness.
    public var isReady: Bool { !conditions.contains { $0.condition.blocksReadiness } }

    /// A line a condition, for people and for probes.
    public var report: String {
        let lines = conditions.map { condition, detail in
            "\(condition.severity) \(condition.rawValue): \(condition.summary): \(detail); \(condition.remedy)"
        }
        let notes = notes.withLock { $0 }.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        return (isReady ? "ready" : "not ready") + (lines + notes).map { "\n\($0)" }.joined() + "\n"
    }
}
