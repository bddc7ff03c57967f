/// Why an interface was not attached, detached or listed, and what helps.
public struct AttachError: Error, Hashable, Sendable {
    /// One line: what is wrong, with the value.
    public var message: String
    /// What the operator can do.
    public var remedy: String?
    /// Whether the command line is at fault (exit status 2), not the host.
    public var isUsage: Bool

    /// All fields as given.
    public init(_ message: String, remedy: String? = nil, isUsage: Bool = false) {
        self.message = message
        self.remedy = remedy
        self.isUsage = isUsage
    }

    /// The task was cancelled.
    static let interrupted = AttachError("interrupted")

    /// A command line that cannot be understood.
    static func usage(_ message: String, remedy: String? = nil) -> AttachError {
        AttachError(message, remedy: remedy, isUsage: true)
    }
}

extension AttachError: CustomStringConvertible {
    /// On one line.
    public var description: String { remedy.map { "\(message); \($0)" } ?? message }
}
