import IPNetwork
import LinuxSystem

/// What `weft attach` is given beside pipework's words.
public struct AttachArguments: Sendable {
    /// pipework's words: interface, container, address, MAC and VLAN.
    public var words: [String]
    /// `-i`.
    public var name: String?
    /// `-l`.
    public var hostName: String?
    /// `-a`.
    public var family: String?
    /// Further `ADDRESS/LENGTH[@GATEWAY]`.
    public var addresses: [String] = []
    /// A MAC, or `U:` and a text.
    public var hardwareAddress: String?
    /// 1 to 4094.
    public var vlan: String?
    /// Bytes.
    public var mtu: UInt32?
    /// What the parent is to be taken for.
    public var kind: AttachmentRequest.Kind?
    /// The physical interface itself.
    public var isDirect = false
    /// Comes back when the container starts again.
    public var isKept = false

    /// With nothing but pipework's words.
    public init(words: [String]) { self.words = words }

    /// - Parameter exists: as for ``PipeworkCommandLine/init(parsing:exists:)``.
    /// - Throws: ``AttachError`` naming what is wrong.
    public func commandLine(exists: (String) -> Bool) throws(AttachError) -> PipeworkCommandLine {
        var line = isDirect ? ["--direct-phys"] : []
        line += words.prefix(1)
        for (option, value) in [("-i", name), ("-l", hostName), ("-a", family)] {
            if let value { line += [option, value] }
        }
        line += words.dropFirst()
        guard case .attach(var request) = try PipeworkCommandLine(parsing: line, exists: exists) else {
            guard addresses.isEmpty, hardwareAddress == nil, vlan == nil, mtu == nil, kind == nil, !isKept else {
                throw .usage("\(words.first ?? "") only runs a command in the container and takes no such option")
            }
            return try PipeworkCommandLine(parsing: line, exists: exists)
        }
        if !addresses.isEmpty {
            var all: [FixedAddress] = []
            switch request.addressing {
            case .fixed(let first): all = first
            case .none: break
            case .dhcp: throw .usage("--address and \(words.dropFirst(2).first ?? "dhcp") exclude each other")
            }
            for text in addresses { all.append(try FixedAddress(parsing: text)) }
            request.addressing = .fixed(all)
        }
        if let hardwareAddress {
            request.hardwareAddress = try HardwareAddressArgument.hardwareAddress(hardwareAddress)
        }
        if let vlan { request.vlan = try HardwareAddressArgument.vlan(vlan) }
        if let mtu {
            guard (68...65535).contains(mtu) else { throw .usage("an MTU of \(mtu) bytes", remedy: "give 68 to 65535") }
            request.mtu = mtu
        }
        request.kind = kind
        request.isKept = isKept
        return .attach(request)
    }
}
