/// Why an operation on the registry failed.
public struct StoreError: Error, Hashable, Sendable {
    /// What can be done about it.
    public enum Kind: Hashable, Sendable {
        /// Not reachable, or the connection broke.
        case unavailable
        /// No answer in time.
        case timedOut
        /// The member asked is cut off from the others.
        case noLeader
        /// No user, a wrong one, or a token that is no longer good.
        case unauthenticated
        /// The user may not do this.
        case permissionDenied
        /// The revision asked for is no longer in the history.
        case compacted
        /// The registry's disk quota is used up.
        case noSpace
        /// The answer is larger than a message may be.
        case tooLarge
        /// Whatever answers there does not speak this API.
        case unsupported
        /// The caller's task was cancelled.
        case cancelled
        /// Refused for another reason.
        case refused
    }

    /// What the registry does next depends on this alone.
    public let kind: Kind
    /// What happened, where and on which key.
    public let cause: String
    /// What an operator can do, when that is known.
    public let remedy: String?

    /// All fields as given.
    public init(_ kind: Kind, cause: String, remedy: String? = nil) {
        self.kind = kind
        self.cause = cause
        self.remedy = remedy
    }

    static let cancelled = StoreError(.cancelled, cause: "cancelled")
}

extension StoreError: CustomStringConvertible {
    /// One line: the cause, and in brackets the remedy.
    public var description: String { remedy.map { "\(cause) (\($0))" } ?? cause }
}
