/// Why the lab could not do what it was asked, and what helps.
public struct LabError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong, with the name of the thing it went wrong on.
    public let cause: String
    /// What the user can do about it; empty when the cause says it.
    public let remedy: String

    /// The remedy may be left out when the cause says it.
    public init(_ cause: String, remedy: String = "") {
        self.cause = cause
        self.remedy = remedy
    }

    /// The cause, and the remedy on a line of its own.
    public var description: String { remedy.isEmpty ? cause : "\(cause)\n\(remedy)" }
}
