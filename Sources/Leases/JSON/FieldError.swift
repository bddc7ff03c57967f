/// A field whose value can't be used.
public struct FieldError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field with the names of the objects around it: `Backend.VNI`.
    public let path: String
    /// The value as JSON, cut when long; `nil` when the field is missing.
    public let value: String?
    /// What would be accepted, in words that follow "allowed:".
    public let allowed: String

    /// All fields as given.
    public init(path: String, value: String?, allowed: String) {
        self.path = path
        self.value = value
        self.allowed = allowed
    }

    /// One line: `Backend.VNI is -1; allowed: a whole number from 1 to 16777215`.
    public var description: String {
        "\(path) is \(value ?? "missing"); allowed: \(allowed)"
    }
}

/// Typed reading of an object's members. Each function gives `nil` when the member is missing or null (Go leaves a field
/// alone for a null) and throws when its value is of another kind or out of bounds. `path` names the object itself, for
/// the error; it is empty for the outermost.
extension JSONValue {
    /// A whole number within `bounds`, written without fraction or exponent, as Go reads integers.
    public func integer(
        _ name: String, in bounds: ClosedRange<Int>, path: String = ""
    ) throws(FieldError) -> Int? {
        guard let value = present(name) else { return nil }
        guard case .number(let text) = value, let number = Int(text), bounds.contains(number) else {
            throw error(
                name, path, value, "a whole number from \(bounds.lowerBound) to \(bounds.upperBound), without quotes")
        }
        return number
    }

    /// A `true` or `false`, without quotes.
    public func bool(_ name: String, path: String = "") throws(FieldError) -> Bool? {
        guard let value = present(name) else { return nil }
        guard case .bool(let flag) = value else { throw error(name, path, value, "true or false, without quotes") }
        return flag
    }

    /// A string, of any content.
    public func string(_ name: String, path: String = "") throws(FieldError) -> String? {
        guard let value = present(name) else { return nil }
        guard case .string(let text) = value else { throw error(name, path, value, "a string in quotes") }
        return text
    }

    /// A string that `parse` accepts, such as `IPv4Address.init`.
    ///
    /// - Parameter allowed: what is accepted, for the error: "an IPv4 address such as 172.30.0.11".
    public func parsed<Value>(
        _ name: String, path: String = "", allowed: String, by parse: (String) -> Value?
    ) throws(FieldError) -> Value? {
        guard let value = present(name) else { return nil }
        guard case .string(let text) = value, let result = parse(text) else { throw error(name, path, value, allowed) }
        return result
    }

    /// An object, as a value to read members of.
    public func object(_ name: String, path: String = "") throws(FieldError) -> JSONValue? {
        guard let value = present(name) else { return nil }
        guard case .object = value else { throw error(name, path, value, "an object in braces") }
        return value
    }

    private func present(_ name: String) -> JSONValue? {
        guard let value = self[name], value != .null else { return nil }
        return value
    }

    private func error(_ name: String, _ path: String, _ value: JSONValue, _ allowed: String) -> FieldError {
        FieldError(path: path.isEmpty ? name : "\(path).\(name)", value: value.excerpt, allowed: allowed)
    }
}
