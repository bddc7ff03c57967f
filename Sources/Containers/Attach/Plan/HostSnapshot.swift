import IPNetwork
import LinuxSystem
import Netlink

/// What a plan has to know of the host.
public struct HostSnapshot: Hashable, Sendable {
    /// All interfaces of the host.
    public var interfaces: [Interface]
    /// Open vSwitch's bridges; `nil` where `ovs-vsctl` is not installed.
    public var switches: Set<String>?
    /// Why ``switches`` are not known although `ovs-vsctl` is there.
    public var switchesFailure: String?

    /// All fields as given.
    public init(interfaces: [Interface], switches: Set<String>? = nil, switchesFailure: String? = nil) {
        self.interfaces = interfaces
        self.switches = switches
        self.switchesFailure = switchesFailure
    }

    /// An interface of the host.
    public struct Interface: Hashable, Sendable {
        /// As the kernel has it.
        public var name: InterfaceName
        /// The kernel's number.
        public var index: Int32
        /// `ARPHRD_*`: 1 Ethernet, 32 InfiniBand, 772 loopback.
        public var type: UInt16
        /// The kernel's name of its kind; `nil` for a physical one.
        public var kind: String?
        /// A VLAN sub-interface's tag.
        public var vlan: UInt16?
        /// What it stands on, by index.
        public var lower: Int32?
        /// Bytes.
        public var mtu: UInt32
        /// `nil` unless it has six bytes.
        public var hardwareAddress: MACAddress?
        /// Set up by the administrator.
        public var isUp: Bool
        /// Belongs to a bridge, a bond or a switch.
        public var isPort: Bool

        /// All fields as given; by default a physical Ethernet interface.
        public init(
            name: InterfaceName, index: Int32, type: UInt16 = 1, kind: String? = nil, vlan: UInt16? = nil,
            lower: Int32? = nil, mtu: UInt32 = 1500, hardwareAddress: MACAddress? = nil, isUp: Bool = true,
            isPort: Bool = false
        ) {
            self.name = name
            self.index = index
            self.type = type
            self.kind = kind
            self.vlan = vlan
            self.lower = lower
            self.mtu = mtu
            self.hardwareAddress = hardwareAddress
            self.isUp = isUp
            self.isPort = isPort
        }

        init(_ link: Link) {
            self.init(
                name: link.name, index: link.index, type: link.type, kind: link.kind?.name, lower: link.lower,
                mtu: link.mtu, hardwareAddress: link.hardwareAddress, isUp: link.flags.contains(.up),
                isPort: link.controller != nil)
            if case .vlan(let settings) = link.kind { vlan = settings.id }
        }
    }

    func interface(_ name: InterfaceName) -> Interface? { interfaces.first { $0.name == name } }
}

/// What a plan has to know of the container.
public struct ContainerSnapshot: Hashable, Sendable {
    /// The interfaces that it has.
    public var interfaces: Set<InterfaceName>
    /// Set into made-up names; a process id where there is one.
    public var number: Int32
    /// For DHCP servers.
    public var hostName: String

    /// All fields as given.
    public init(interfaces: Set<InterfaceName> = [], number: Int32, hostName: String) {
        self.interfaces = interfaces
        self.number = number
        self.hostName = hostName
    }
}
