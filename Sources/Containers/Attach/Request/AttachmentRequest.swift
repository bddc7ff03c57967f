import IPNetwork
import LinuxSystem

/// What is to be attached to which container: the whole of a command line, and of a record that is kept.
public struct AttachmentRequest: Hashable, Codable, Sendable {
    /// What the container is connected to.
    public var parent: Parent
    /// What the parent is to be taken for; `nil` goes by what is there and by the name, as pipework does.
    public var kind: Kind?
    /// The container as it was named.
    public var container: ContainerReference
    /// The interface's name in the container.
    public var name: InterfaceName
    /// The name of the host's end of a veth pair; `nil` makes one.
    public var hostName: InterfaceName?
    /// How it comes to its addresses.
    public var addressing: Addressing
    /// `nil` leaves the kernel's choice.
    public var hardwareAddress: MACAddress?
    /// 1 to 4094, for Open vSwitch and physical interfaces.
    public var vlan: UInt16?
    /// Bytes; `nil` for the parent's.
    public var mtu: UInt32?
    /// Whether the container gets the physical interface itself (`--direct-phys`).
    public var isDirect: Bool
    /// Whether it comes back when the container starts again.
    public var isKept: Bool

    /// All fields as given; nothing is checked against the host.
    public init(
        parent: Parent, kind: Kind? = nil, container: ContainerReference,
        name: InterfaceName = AttachmentRequest.usualName, hostName: InterfaceName? = nil,
        addressing: Addressing = .none, hardwareAddress: MACAddress? = nil, vlan: UInt16? = nil, mtu: UInt32? = nil,
        isDirect: Bool = false, isKept: Bool = false
    ) {
        self.parent = parent
        self.kind = kind
        self.container = container
        self.name = name
        self.hostName = hostName
        self.addressing = addressing
        self.hardwareAddress = hardwareAddress
        self.vlan = vlan
        self.mtu = mtu
        self.isDirect = isDirect
        self.isKept = isKept
    }

    /// `eth1`, as pipework has it.
    public static let usualName = InterfaceName(known: "eth1")

    /// The host's interface, bridge or switch.
    public enum Parent: Hashable, Codable, Sendable {
        case name(InterfaceName)
        /// The physical interface with this address.
        case hardwareAddress(MACAddress)
    }

    /// How the container is connected.
    public enum Kind: String, CaseIterable, Hashable, Codable, Sendable {
        case bridge
        case openVSwitch = "ovs"
        case macvlan
        case ipvlan
        /// The interface itself.
        case physical = "phys"
        case dummy
    }

    /// Where addresses come from.
    public enum Addressing: Hashable, Codable, Sendable {
        /// None are set (`0/0`).
        case none
        case fixed([FixedAddress])
        case dhcp(DHCPRequest)
    }
}
