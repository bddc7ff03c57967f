import IPNetwork
import LinuxSystem

/// pipework's command line, word for word; its options may also stand in another order.
public enum PipeworkCommandLine: Hashable, Sendable {
    case attach(AttachmentRequest)
    /// Waits for an interface of the namespace that this runs in.
    case wait(InterfaceName)
    /// Runs `ip route`, `ip rule` or `tc` in the container.
    case run(Tool, ContainerReference, [String])

    /// A program of iproute2 that pipework runs in containers.
    public enum Tool: String, CaseIterable, Hashable, Sendable {
        case route
        case rule
        case tc

        /// The words before the operator's.
        public var command: [String] { self == .tc ? ["tc"] : ["ip", rawValue] }
    }

    /// `-a`: what addresses have to be.
    enum Family: String {
        case v4 = "4"
        case v6 = "6"
        case inet
        case inet6

        var isIPv6: Bool { self == .v6 || self == .inet6 }
    }

    /// The forms of the command line, a line each.
    public static let usage = """
        usage: pipework [--direct-phys] INTERFACE [-i NAME] [-l HOSTNAME] [-a FAMILY] CONTAINER ADDRESS/LENGTH[@GATEWAY] [MAC][@VLAN]
               pipework [--direct-phys] INTERFACE [-i NAME] [-l HOSTNAME] CONTAINER dhcp|udhcpc|dhclient|dhcpcd[:OPTIONS] [MAC][@VLAN]
               pipework route|rule|tc CONTAINER ARGUMENTS
               pipework --wait [-i NAME]
        INTERFACE is a bridge, an Open vSwitch, a physical interface, mac: and the address of one, or dummy.
        """

    /// - Parameters:
    ///   - words: without the program's name.
    ///   - exists: whether the host has an interface: `route`, `rule` and `tc` are commands only when it has none of that
    ///     name.
    /// - Throws: ``AttachError`` naming the word that is wrong.
    public init(parsing words: [String], exists: (String) -> Bool) throws(AttachError) {
        var rest = words[...]
        let isDirect = rest.first == "--direct-phys"
        if isDirect { rest = rest.dropFirst() }
        guard let parent = rest.popFirst() else { throw .usage("the interface is missing", remedy: Self.usage) }
        let options = try Options(&rest)
        if parent == "--wait" {
            self = .wait(options.name ?? AttachmentRequest.usualName)
            return
        }
        guard let guest = rest.popFirst(), !guest.isEmpty else {
            throw .usage("the container is missing", remedy: Self.usage)
        }
        let container = try ContainerReference(parsing: guest)
        if let tool = Tool.allCases.first(where: { parent.hasPrefix($0.rawValue) }), !exists(parent) {
            self = .run(tool, container, Array(rest))
            return
        }
        guard let address = rest.popFirst(), !address.isEmpty else {
            throw .usage("the address is missing", remedy: Self.usage)
        }
        var request = AttachmentRequest(
            parent: try AttachmentRequest.Parent(parsing: parent), container: container,
            name: options.name ?? AttachmentRequest.usualName, hostName: options.hostName, isDirect: isDirect)
        request.addressing = try AttachmentRequest.Addressing(parsing: address, family: options.family)
        if let word = rest.popFirst() {
            if parent.hasPrefix("ib") && word.hasPrefix("@") { throw AttachmentPlan.infiniBand(parent) }
            let argument = try HardwareAddressArgument(parsing: word)
            request.hardwareAddress = argument.hardwareAddress
            request.vlan = argument.vlan
        }
        if let word = rest.first { throw .usage("\"\(word)\" is one word too many", remedy: Self.usage) }
        self = .attach(request)
    }

    /// What may stand between the interface and the container.
    private struct Options {
        var name: InterfaceName?
        var hostName: InterfaceName?
        var family: Family?

        init(_ words: inout ArraySlice<String>) throws(AttachError) {
            while let option = words.first, ["-i", "-l", "-a"].contains(option) {
                words = words.dropFirst()
                guard let value = words.popFirst() else { throw .usage("\(option) needs a value", remedy: usage) }
                switch option {
                case "-i": name = try InterfaceName(argument: value)
                case "-l": hostName = try InterfaceName(argument: value)
                default:
                    guard let family = Family(rawValue: value) else {
                        throw .usage("\"\(value)\" is no address family", remedy: "-a takes 4 or 6")
                    }
                    self.family = family
                }
            }
        }
    }
}

extension InterfaceName {
    /// - Throws: ``AttachError`` naming the text and the kernel's rule.
    public init(argument text: some StringProtocol) throws(AttachError) {
        guard let name = Self(text) else {
            throw .usage(
                "\"\(text)\" is no interface name",
                remedy: "a name has 1 to 15 bytes without white space, slash and colon")
        }
        self = name
    }
}

extension AttachmentRequest.Parent {
    /// A name, or `mac:` and an address.
    ///
    /// - Throws: ``AttachError`` naming the text.
    public init(parsing text: some StringProtocol) throws(AttachError) {
        if text.hasPrefix("mac:") {
            guard let address = MACAddress(String(text.dropFirst(4))) else {
                throw .usage("\"\(text.dropFirst(4))\" is no MAC address", remedy: "give mac: and six pairs of digits")
            }
            self = .hardwareAddress(address)
        } else {
            self = .name(try InterfaceName(argument: text))
        }
    }
}

extension AttachmentRequest.Addressing {
    /// `0/0`, `ADDRESS/LENGTH[@GATEWAY]`, or a DHCP client.
    init(parsing text: some StringProtocol, family: PipeworkCommandLine.Family? = nil) throws(AttachError) {
        if let request = DHCPRequest(parsing: text) {
            self = .dhcp(request)
        } else if text == "0/0" || text == "none" {
            self = .none
        } else {
            self = .fixed([try FixedAddress(parsing: text, family: family)])
        }
    }
}
