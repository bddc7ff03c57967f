/// A regular expression of `--iface-regex`, in the syntax of Go's RE2.
public struct InterfaceExpression: Hashable, Sendable, CustomStringConvertible {
    /// As it was given.
    public let description: String

    /// What the flag's error says.
    static let allowed = "a regular expression"

    /// `nil` when it is no expression.
    public init?(_ text: String) {
        guard (try? Regex(text)) != nil else { return nil }
        description = text
    }

    /// Whether any part of `text` matches, as Go's `MatchString`.
    func matches(_ text: String) -> Bool {
        // A Regex is not Sendable, and an interface is not chosen often.
        guard let regex = try? Regex(description) else { return false }
        return text.firstMatch(of: regex) != nil
    }
}
