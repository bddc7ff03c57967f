/// TCP between two containers.
public struct ThroughputReport: Hashable, Sendable {
    public let source: String
    public let destination: String
    public let outcome: Outcome

    public enum Outcome: Hashable, Sendable {
        case bitsPerSecond(Double)
        /// Not measured, and why.
        case none(String)
    }
}
