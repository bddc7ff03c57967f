import IPNetwork
import LinuxSystem

/// One change that attaching makes, each with an inverse.
public enum AttachmentStep: Hashable, Codable, Sendable {
    /// The address tells it from another bridge of the same name later.
    case createBridge(InterfaceName, MACAddress)
    case createSwitch(InterfaceName)
    case createVLAN(InterfaceName, lower: InterfaceName, id: UInt16, mtu: UInt32)
    /// An interface of the host.
    case setUp(InterfaceName)
    /// A veth pair, one end on the host, in a bridge or not, the other in the container.
    case createPair(host: InterfaceName, container: Interior, bridge: InterfaceName?)
    /// The host's end into an Open vSwitch.
    case addPort(InterfaceName, switch: InterfaceName, tag: UInt16?)
    /// An interface in the container alone.
    case create(Virtual, Interior, lower: InterfaceName?)
    /// The interface itself into the container.
    case move(InterfaceName, Interior)
    case addAddress(InterfaceName, FixedAddress)
    case setUpInContainer(InterfaceName)
    /// `isOnLink` false needs a route to the gateway itself first.
    case setDefaultRoute(InterfaceName, gateway: IPAddress, isOnLink: Bool)
    case startDHCP(InterfaceName, DHCPRequest, hostName: String)

    /// The interface in the container, as it is made.
    public struct Interior: Hashable, Codable, Sendable {
        /// Its name there.
        public var name: InterfaceName
        /// Bytes; `nil` leaves the kernel's or the one it has.
        public var mtu: UInt32?
        /// `nil` leaves the kernel's or the one it has.
        public var hardwareAddress: MACAddress?

        /// All fields as given.
        public init(name: InterfaceName, mtu: UInt32? = nil, hardwareAddress: MACAddress? = nil) {
            self.name = name
            self.mtu = mtu
            self.hardwareAddress = hardwareAddress
        }
    }

    /// A kind of interface that is made in the container.
    public enum Virtual: String, Hashable, Codable, Sendable {
        case macvlan
        case ipvlan
        case dummy
    }
}

extension AttachmentStep: CustomStringConvertible {
    /// What is done, as a line of a plan.
    public var description: String {
        switch self {
        case .createBridge(let name, _): "create bridge \(name)"
        case .createSwitch(let name): "create Open vSwitch \(name)"
        case .createVLAN(let name, let lower, let id, _): "create \(name), VLAN \(id) of \(lower)"
        case .setUp(let name): "set \(name) up"
        case .createPair(let host, let container, let bridge):
            "create \(host)\(bridge.map { " in bridge \($0)" } ?? ""), and \(container) at its other end"
        case .addPort(let port, let name, let tag):
            "put \(port) into Open vSwitch \(name)\(tag.map { " with VLAN \($0)" } ?? "")"
        case .create(let kind, let interior, let lower):
            "create \(kind.rawValue) \(interior)\(lower.map { " on \($0)" } ?? "")"
        case .move(let name, let interior): "move \(name) into the container as \(interior)"
        case .addAddress(let name, let address): "add \(address.address)/\(address.prefixLength) to \(name)"
        case .setUpInContainer(let name): "set \(name) up in the container"
        case .setDefaultRoute(let name, let gateway, let isOnLink):
            "route by default via \(gateway) on \(name)\(isOnLink ? "" : ", by a route of its own")"
        case .startDHCP(let name, let request, _): "get an address for \(name) with \(request)"
        }
    }
}

extension AttachmentStep.Interior: CustomStringConvertible {
    /// The name, with what is not the kernel's choice.
    public var description: String {
        "\(name)\(hardwareAddress.map { " (\($0))" } ?? "")"
    }
}
