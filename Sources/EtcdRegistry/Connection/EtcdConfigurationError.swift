/// A setting of the registry that can't work, found before anything is tried.
public struct EtcdConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The flag's name without dashes.
    public let field: String
    /// Its value, empty when it is missing.
    public let value: String
    /// What would be accepted.
    public let allowed: String

    /// All fields as given.
    public init(field: String, value: String, allowed: String) {
        self.field = field
        self.value = value
        self.allowed = allowed
    }

    /// One line: `etcd-endpoints is "ftp://x"; allowed: http:// or https://, for example http://10.0.0.1:2379`.
    public var description: String { "\(field) is \"\(value)\"; allowed: \(allowed)" }
}
