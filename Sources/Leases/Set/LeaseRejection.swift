/// A key in the registry that is ignored, and why.
public struct LeaseRejection: Error, Hashable, Sendable {
    /// The key's last component.
    public let name: String
    /// One sentence: what is wrong, with the value, and what would be right.
    public let reason: String

    /// All fields as given.
    public init(name: String, reason: String) {
        self.name = name
        self.reason = reason
    }
}
