/// A JSON value as flannel's Go reads it.
///
/// Weft has a reader of its own since leases arrive by the thousand at start-up and Go's rules differ from Codable's:
/// object keys match without regard to case, of duplicates the last wins, and numbers must keep their text.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The number's text, as written.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// Members in the order written, duplicates kept.
    case object([Member])

    public struct Member: Hashable, Sendable {
        public let name: String
        public let value: JSONValue

        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The member that Go's `encoding/json` would store in a field of this name: the last whose name is equal without
    /// regard to case. `nil` when this is no object or has none.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name || $0.name.lowercased() == name.lowercased() }?.value
    }
}
