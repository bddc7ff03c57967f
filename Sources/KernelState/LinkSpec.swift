import IPNetwork
import LinuxSystem

/// A network interface that should exist, and be up.
public struct LinkSpec: Hashable, Sendable {
    /// What the interface is made of.
    public enum Kind: Hashable, Sendable {
        case vxlan(VXLANSpec)
        /// A TUN device that outlives the process that attaches to it. rtnetlink cannot make one.
        case tun
        /// IP packets in UDP datagrams, made by the kernel. What comes in by a FOU port is handed to it.
        case fouTunnel(FOUTunnelSpec)

        /// The interface that it stands on, if any.
        public var lower: InterfaceName? {
            switch self {
            case .vxlan(let vxlan): vxlan.lower
            case .tun, .fouTunnel: nil
            }
        }

        /// Whether an interface of this kind can be changed into `other` without being made anew.
        public func canChange(to other: Kind) -> Bool {
            switch (self, other) {
            case (.vxlan(let old), .vxlan(let new)): old.canChange(to: new)
            case (.tun, .tun): true
            case (.fouTunnel(let old), .fouTunnel(let new)): old.local.isIPv6 == new.local.isIPv6
            case (.vxlan, _), (.tun, _), (.fouTunnel, _): false
            }
        }
    }

    /// What the kernel knows the interface by.
    public var name: InterfaceName
    /// Its type with the type's own attributes.
    public var kind: Kind
    /// Bytes.
    public var mtu: UInt32
    /// Given when the interface is made, so that the kernel marks the address as set and udev's MACAddressPolicy leaves it;
    /// `nil` for a kind that has none.
    public var mac: MACAddress?

    /// All fields as given.
    public init(name: InterfaceName, kind: Kind, mtu: UInt32, mac: MACAddress? = nil) {
        self.name = name
        self.kind = kind
        self.mtu = mtu
        self.mac = mac
    }
}

/// The attributes of a VXLAN interface that matter to Weft (`IFLA_VXLAN_*` in linux/if_link.h).
public struct VXLANSpec: Hashable, Sendable {
    /// VXLAN network identifier, 0 to 2^24 - 1. The kernel cannot change it on an existing interface.
    public var vni: UInt32
    /// The UDP port that packets are sent to and received on. The kernel cannot change it on an existing interface.
    public var port: UInt16
    /// The outer source address.
    public var local: IPAddress
    /// The interface that the outer packets leave through.
    public var lower: InterfaceName
    /// Learn from received packets which host a MAC is behind.
    public var learning: Bool
    /// Carry the group policy extension. The kernel cannot change it on an existing interface.
    public var gbp: Bool

    /// All fields as given; the kernel checks the ranges.
    public init(
        vni: UInt32, port: UInt16, local: IPAddress, lower: InterfaceName, learning: Bool = false, gbp: Bool = false
    ) {
        self.vni = vni
        self.port = port
        self.local = local
        self.lower = lower
        self.learning = learning
        self.gbp = gbp
    }

    /// Whether an interface with these attributes can be changed into `other` without being made anew.
    public func canChange(to other: VXLANSpec) -> Bool {
        vni == other.vni && port == other.port && gbp == other.gbp && local.isIPv6 == other.local.isIPv6
    }
}
