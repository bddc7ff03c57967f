/// Why a network config is refused.
public struct ConfigError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field, with the names of the objects around it; empty when the text as a whole is at fault.
    public let field: String
    /// Its value as JSON, cut when long; `nil` when it is missing.
    public let value: String?
    /// What would be accepted.
    public let allowed: String

    /// All fields as given.
    public init(field: String, value: String?, allowed: String) {
        self.field = field
        self.value = value
        self.allowed = allowed
    }

    /// The error of a field that a backend or this module looked into.
    public init(_ error: FieldError) {
        self.init(field: error.path, value: error.value, allowed: error.allowed)
    }

    /// One line: `network config: SubnetLen is 31; allowed: …`.
    public var description: String {
        field.isEmpty
            ? "network config is \(value ?? "missing"); allowed: \(allowed)"
            : "network config: \(field) is \(value ?? "missing"); allowed: \(allowed)"
    }
}
