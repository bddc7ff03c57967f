import IPNetwork

/// pipework's last word, `[MAC][@VLAN]`, the MAC given or made from a text (`U:TEXT`).
struct HardwareAddressArgument: Hashable {
    var hardwareAddress: MACAddress?
    var vlan: UInt16?

    /// - Throws: ``AttachError`` naming the part that is wrong.
    init(parsing text: some StringProtocol) throws(AttachError) {
        let (address, tag) = text.halves(at: "@")
        if let tag {
            let word = tag.halves(at: "@").0
            if !word.isEmpty { vlan = try Self.vlan(word) }
        }
        if !address.isEmpty { hardwareAddress = try Self.hardwareAddress(address) }
    }

    /// - Throws: ``AttachError`` unless it is 1 to 4094.
    static func vlan(_ text: some StringProtocol) throws(AttachError) -> UInt16 {
        guard let vlan = UInt16(text), (1...4094).contains(vlan) else {
            throw .usage("\"\(text)\" is no VLAN", remedy: "a VLAN is a number from 1 to 4094")
        }
        return vlan
    }

    /// - Throws: ``AttachError`` for what no interface can have.
    static func hardwareAddress(_ text: some StringProtocol) throws(AttachError) -> MACAddress {
        if text.hasPrefix("U:") { return stable(String(text.dropFirst(2))) }
        guard let address = MACAddress(String(text)) else {
            throw .usage(
                "\"\(text)\" is no MAC address", remedy: "give six pairs of hexadecimal digits, or U: and any text")
        }
        guard address.isValidUnicast else {
            throw .usage(
                "no interface can have the MAC address \(address)",
                remedy: "the lowest bit of the first byte must be 0; take one that begins with 02")
        }
        return address
    }

    /// The same address for the same text, always: 02, then the first five bytes of the MD5 of the text and a line end, as
    /// pipework makes it. White space between words counts as one space, and none at the ends, as the shell has it there.
    static func stable(_ text: String) -> MACAddress {
        let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let digest = MD5.digest(of: Array((words + "\n").utf8))
        return MACAddress(rawValue: digest.prefix(5).reduce(0x02) { $0 << 8 | UInt64($1) })
    }
}
