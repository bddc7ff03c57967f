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

    /// A name and its value in an object.
    public struct Member: Hashable, Sendable {
        /// Unescaped.
        public let name: String
        /// Any value, nested ones too.
        public let value: JSONValue

        /// The name is taken as it is and escaped when written.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The member that Go's `encoding/json` would store in a field of this name: the last whose name is equal without
    /// regard to case. `nil` when this is no object or has none.
    ///
    /// Go's `strings.EqualFold` knows two letters beyond ASCII that fold to ASCII ones: the Kelvin sign to `k` and the
    /// long s to `s`. `name` is a field's name, so it must be ASCII.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        // Equality is the rule and cheap; most names that differ do so at once.
        return members.last { $0.name == name || Self.equalFold($0.name, name) }?.value
    }

    private static func equalFold(_ text: String, _ name: String) -> Bool {
        guard text.utf8.count >= name.utf8.count else { return false }
        var text = text.utf8.makeIterator()
        var name = name.utf8.makeIterator()
        while let byte = text.next() {
            guard let wanted = name.next() else { return false }
            switch byte {
            case 0..<0x80:
                guard lowercase(byte) == lowercase(wanted) else { return false }
            case 0xc5:  // U+017F, long s
                guard text.next() == 0xbf, lowercase(wanted) == UInt8(ascii: "s") else { return false }
            case 0xe2:  // U+212A, Kelvin sign
                guard text.next() == 0x84, text.next() == 0xaa, lowercase(wanted) == UInt8(ascii: "k") else {
                    return false
                }
            default:
                return false
            }
        }
        return name.next() == nil
    }

    private static func lowercase(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}
