/// TCP between two containers.
public struct ThroughputReport: Hashable, Sendable {
    /// The sending container: `c1.h1`.
    public let source: String
    /// The receiving one.
    public let destination: String
    /// The rate, or why there is none.
    public let outcome: Outcome

    /// What the measurement came to.
    public enum Outcome: Hashable, Sendable {
        case bitsPerSecond(Double)
        /// Not measured, and why.
        case none(String)
    }
}
