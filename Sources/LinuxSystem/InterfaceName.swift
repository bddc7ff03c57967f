/// The name of a network interface: 1 to 15 bytes, as the kernel's `dev_valid_name` allows.
public struct InterfaceName: Hashable, Comparable, Sendable {
    /// As the kernel has it.
    public let text: String

    /// `nil` for an empty name, one over 15 bytes, `.`, `..`, or one with a slash, a colon or white space.
    public init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard
            (1...15).contains(bytes.count), text != ".", text != "..",
            bytes.allSatisfy({ $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") && $0 != 0x7f })
        else { return nil }
        self.text = String(text)
    }

    /// A name that stands in the source: it is not checked, so that there is nothing to fail. One that the kernel would not
    /// take is refused by the kernel.
    public init(known text: StaticString) { self.text = "\(text)" }

    /// By characters, so `eth10` is before `eth2`.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.text < rhs.text }
}

extension InterfaceName: LosslessStringConvertible {
    /// `nil` for a name that the kernel would not take.
    public init?(_ description: String) { self.init(description[...]) }
    /// The name and nothing else.
    public var description: String { text }
}

extension InterfaceName: Codable {
    /// From a string.
    ///
    /// - Throws: `DecodingError.dataCorrupted` for a name that the kernel would not take.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let name = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is no interface name")
        }
        self = name
    }

    /// As a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
