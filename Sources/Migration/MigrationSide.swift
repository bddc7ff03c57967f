import EtcdRegistry

/// One of the two registries.
public enum MigrationSide: String, Hashable, Sendable, CaseIterable {
    /// What is moved from.
    case v2
    /// What is moved to.
    case v3

    /// The other registry.
    public var other: MigrationSide { self == .v2 ? .v3 : .v2 }
}

/// A registry failed.
public struct MigrationFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Which.
    public let side: MigrationSide
    /// How.
    public let error: StoreError

    /// All fields as given.
    public init(_ side: MigrationSide, _ error: StoreError) {
        self.side = side
        self.error = error
    }

    /// One line.
    public var description: String { "\(side): \(error)" }
}
