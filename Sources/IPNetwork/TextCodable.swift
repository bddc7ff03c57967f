/// A value that is stored as its text: `"10.0.19.1/24"` in JSON.
public protocol TextCodable: LosslessStringConvertible, Codable {}

extension TextCodable {
    /// From a string.
    ///
    /// - Throws: `DecodingError.dataCorrupted` for text that is no such value.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is no \(Self.self)")
        }
        self = value
    }

    /// As a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension IPv4Address: TextCodable {}
extension IPv6Address: TextCodable {}
extension IPAddress: TextCodable {}
extension Prefix: TextCodable {}
extension IPPrefix: TextCodable {}
extension InterfaceAddress: TextCodable {}
extension MACAddress: TextCodable {}
