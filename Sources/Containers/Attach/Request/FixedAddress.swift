import IPNetwork

/// `ADDRESS/LENGTH[@GATEWAY]`.
public struct FixedAddress: Hashable, Codable, Sendable {
    /// The container's address.
    public var address: IPAddress
    /// 0 to 32 or 128.
    public var prefixLength: Int
    /// The router that becomes the container's default route.
    public var gateway: IPAddress?

    /// All fields as given.
    public init(address: IPAddress, prefixLength: Int, gateway: IPAddress? = nil) {
        self.address = address
        self.prefixLength = prefixLength
        self.gateway = gateway
    }

    /// The block that the address is in; `nil` when the length is impossible.
    public var prefix: IPPrefix? { IPPrefix(address, length: prefixLength) }

    /// IPv4's broadcast address, where the block has room for one.
    var broadcast: IPv4Address? {
        guard prefixLength < 31, let prefix = prefix?.v4 else { return nil }
        return prefix.lastAddress
    }

    /// - Throws: ``AttachError`` naming the text and what is allowed.
    init(parsing text: some StringProtocol, family: PipeworkCommandLine.Family? = nil) throws(AttachError) {
        let (block, gatewayText) = text.halves(at: "@")
        // As pipework: what follows a second @ is left out.
        let gatewayWord = gatewayText.map { String($0.halves(at: "@").0) }
        let (addressText, lengthText) = block.halves(at: "/")
        guard let address = IPAddress(String(addressText)) else {
            throw .usage("\"\(addressText)\" is no IP address", remedy: "give ADDRESS/LENGTH[@GATEWAY], dhcp or 0/0")
        }
        guard let lengthText else {
            throw .usage(
                "the address \(address) lacks its prefix length",
                remedy: "maybe you meant \(address)/\(address.isIPv6 ? 64 : 24)?")
        }
        guard let length = Self.length(String(lengthText), isIPv6: address.isIPv6) else {
            throw .usage(
                "\"/\(lengthText)\" is no prefix length of \(address)",
                remedy: "it is a number up to \(address.isIPv6 ? 128 : 32)\(address.isIPv6 ? "" : ", or a netmask")")
        }
        self.init(address: address, prefixLength: length)
        if let family, family.isIPv6 != address.isIPv6 {
            throw .usage("\(address) is not of the family that -a \(family.rawValue) names", remedy: "leave -a out")
        }
        guard let gatewayWord else { return }
        guard let gateway = IPAddress(gatewayWord) else {
            throw .usage("the gateway \"\(gatewayWord)\" is no IP address", remedy: "give ADDRESS/LENGTH@GATEWAY")
        }
        guard gateway.isIPv6 == address.isIPv6 else {
            throw .usage(
                "the gateway \(gateway) and the address \(address) are of different families",
                remedy: "give each family its own --address ADDRESS/LENGTH@GATEWAY")
        }
        guard gateway != address else {
            throw .usage("\(gateway) is the container's own address and cannot be its gateway")
        }
        self.gateway = gateway
    }

    /// A number, or for IPv4 a netmask, as `ip address` takes them.
    private static func length(_ text: String, isIPv6: Bool) -> Int? {
        if let number = UInt8(text), text.first != "+" { return number <= (isIPv6 ? 128 : 32) ? Int(number) : nil }
        guard !isIPv6, let mask = IPv4Address(text) else { return nil }
        let ones = mask.rawValue.leadingZeroBitCount == 0 ? (~mask.rawValue).leadingZeroBitCount : 0
        return IPv4Prefix(mask, length: ones)?.mask == mask ? ones : nil
    }
}

extension FixedAddress: CustomStringConvertible {
    /// As it is written on the command line.
    public var description: String { "\(address)/\(prefixLength)\(gateway.map { "@\($0)" } ?? "")" }
}

extension StringProtocol {
    /// What is before and after the first `separator`; the second is `nil` when there is none.
    func halves(at separator: Character) -> (SubSequence, SubSequence?) {
        guard let index = firstIndex(of: separator) else { return (self[...], nil) }
        return (self[..<index], self[self.index(after: index)...])
    }
}
