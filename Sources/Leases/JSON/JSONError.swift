/// Why bytes are not JSON.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, in words that follow "JSON:".
    public let reason: String
    /// The byte at which reading stopped, from 0.
    public let offset: Int

    /// All fields as given.
    public init(reason: String, offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// On one line: `REASON at byte OFFSET`.
    public var description: String { "\(reason) at byte \(offset)" }
}
