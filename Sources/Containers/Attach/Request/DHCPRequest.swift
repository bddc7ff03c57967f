/// Addresses by DHCP: which client is wanted and with what options.
public struct DHCPRequest: Hashable, Codable, Sendable {
    /// `nil` takes the first that is installed, in the order of ``Client``'s cases.
    public var client: Client?
    /// Words for the client's command line.
    public var options: [String]

    /// All fields as given.
    public init(client: Client? = nil, options: [String] = []) {
        self.client = client
        self.options = options
    }

    /// A DHCP client that Weft can run.
    public enum Client: String, CaseIterable, Hashable, Codable, Sendable {
        /// Its own, or busybox's.
        case udhcpc
        case dhclient
        case dhcpcd
    }

    /// `dhcp`, `udhcpc`, `udhcpc-f`, `dhclient`, `dhclient-f` or `dhcpcd`, each with `:OPTIONS`; `nil` for anything else.
    /// The forms with `-f` asked pipework for renewals, which Weft always keeps up.
    init?(parsing text: some StringProtocol) {
        let (name, options) = text.halves(at: ":")
        switch name {
        case "dhcp": client = nil
        case "udhcpc", "udhcpc-f": client = .udhcpc
        case "dhclient", "dhclient-f": client = .dhclient
        case "dhcpcd": client = .dhcpcd
        default: return nil
        }
        self.options = String(options ?? "").split { $0.isWhitespace }.map { String($0) }
        // pipework's dhcp is busybox's udhcpc, whose options these are.
        if client == nil, !self.options.isEmpty { client = .udhcpc }
    }
}

extension DHCPRequest: CustomStringConvertible {
    /// As it is written on the command line.
    public var description: String {
        (client?.rawValue ?? "dhcp") + (options.isEmpty ? "" : ":" + options.joined(separator: " "))
    }
}
