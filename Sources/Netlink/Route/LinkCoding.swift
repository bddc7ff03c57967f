import CLinux
import Glibc
import IPNetwork
import LinuxSystem

extension Link {
    /// `nil` for a message that is not about an interface itself: a bridge port's (`AF_BRIDGE`, whose removal is no
    /// removal of the interface), or one that names none (wireless events).
    init?(message: RawSpan) throws(MalformedMessage) {
        let header: ifinfomsg = try message.load()
        guard header.ifi_family == UInt8(AF_UNSPEC) else { return nil }
        var name: String?
        // Any name will do for now; the attribute comes in every message that is kept.
        guard let placeholder = InterfaceName("?\(header.ifi_index)") else {
            throw MalformedMessage(.badValue("interface index \(header.ifi_index)"))
        }
        self.init(
            index: header.ifi_index, name: placeholder, type: header.ifi_type,
            flags: LinkFlags(rawValue: header.ifi_flags), mtu: 0)
        try message.forEachAttribute(from: MemoryLayout<ifinfomsg>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_IFNAME: name = value.string()
            case IFLA_MTU: mtu = try value.load()
            case IFLA_ADDRESS: hardwareAddress = value.macAddress()
            case IFLA_MASTER: controller = try value.load()
            case IFLA_LINK: lower = try value.load()
            case IFLA_OPERSTATE: operationalState = OperationalState(rawValue: try value.load())
            case IFLA_LINKINFO: kind = try LinkKind(value)
            case IFLA_STATS64: statistics = try LinkStatistics(value)
            case IFLA_AF_SPEC: addressGeneration = try AddressGeneration(familySpecific: value)
            case IFLA_STATS: break  // the same counters in 32 bits
            default: otherAttributes.append(Attribute(type, value))
            }
        }
        guard let name else { return nil }
        // The kernel allows bytes that are no UTF-8. Such a name cannot be ours; the interface still counts.
        self.name = InterfaceName(name) ?? placeholder
    }
}

extension Link.AddressGeneration {
    /// From `IFLA_AF_SPEC`, an attribute per family.
    fileprivate init?(familySpecific: RawSpan) throws(MalformedMessage) {
        var mode: UInt8?
        try familySpecific.forEachAttribute { family, value throws(MalformedMessage) in
            guard family.number == Int(AF_INET6) else { return }
            try value.forEachAttribute { type, value throws(MalformedMessage) in
                if type.number == IFLA_INET6_ADDR_GEN_MODE { mode = try value.load() }
            }
        }
        guard let mode else { return nil }
        self.init(rawValue: mode)
    }
}

extension LinkStatistics {
    /// The head of `rtnl_link_stats64`, which grows at its end.
    init(_ value: RawSpan) throws(MalformedMessage) {
        receivedPackets = try value.load(at: 0)
        sentPackets = try value.load(at: 8)
        receivedBytes = try value.load(at: 16)
        sentBytes = try value.load(at: 24)
        receiveErrors = try value.load(at: 32)
        sendErrors = try value.load(at: 40)
        receiveDrops = try value.load(at: 48)
        sendDrops = try value.load(at: 56)
    }
}

extension NewLink {
    func encode(to writer: inout MessageWriter) {
        writer.append(interface(index: 0, isUp: isUp ? true : nil))
        writer.attribute(IFLA_IFNAME, string: name.text)
        encodeLinkAttributes(
            to: &writer, mtu: mtu, hardwareAddress: hardwareAddress, controller: controller,
            addressGeneration: nil, namespace: namespace)
        if let lower { writer.attribute(IFLA_LINK, lower) }
        kind.encode(to: &writer, changing: false)
    }
}

extension LinkChange {
    func encode(to writer: inout MessageWriter) {
        writer.append(interface(index: index, isUp: isUp))
        if let name { writer.attribute(IFLA_IFNAME, string: name.text) }
        encodeLinkAttributes(
            to: &writer, mtu: mtu, hardwareAddress: hardwareAddress, controller: controller,
            addressGeneration: addressGeneration, namespace: namespace)
        kind?.encode(to: &writer, changing: true)
    }
}

/// The header of a link message; only the up flag is ever changed.
func interface(index: Int32, isUp: Bool?) -> ifinfomsg {
    var header = ifinfomsg()
    header.ifi_index = index
    if let isUp {
        header.ifi_flags = isUp ? LinkFlags.up.rawValue : 0
        header.ifi_change = LinkFlags.up.rawValue
    }
    return header
}

private func encodeLinkAttributes(
    to writer: inout MessageWriter, mtu: UInt32?, hardwareAddress: MACAddress?, controller: Int32?,
    addressGeneration: Link.AddressGeneration?, namespace: LinkNamespace?
) {
    if let mtu { writer.attribute(IFLA_MTU, mtu) }
    if let hardwareAddress { writer.attribute(IFLA_ADDRESS, hardwareAddress) }
    if let controller { writer.attribute(IFLA_MASTER, controller) }
    if let addressGeneration {
        writer.nested(IFLA_AF_SPEC) { writer in
            writer.nested(Int(AF_INET6)) { writer in
                writer.attribute(IFLA_INET6_ADDR_GEN_MODE, addressGeneration.rawValue)
            }
        }
    }
    namespace?.encode(to: &writer)
}

extension LinkNamespace {
    fileprivate func encode(to writer: inout MessageWriter) {
        switch self {
        case .process(let pid): writer.attribute(IFLA_NET_NS_PID, pid)
        case .descriptor(let descriptor): writer.attribute(IFLA_NET_NS_FD, descriptor)
        }
    }
}

extension VethPeer {
    /// From `VETH_INFO_PEER`: a link message without its netlink header.
    init(_ value: RawSpan) throws(MalformedMessage) {
        self.init()
        try value.forEachAttribute(from: MemoryLayout<ifinfomsg>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_IFNAME: name = InterfaceName(value.string())
            case IFLA_ADDRESS: hardwareAddress = value.macAddress()
            case IFLA_MTU: mtu = try value.load()
            case IFLA_NET_NS_PID: namespace = .process(try value.load())
            case IFLA_NET_NS_FD: namespace = .descriptor(try value.load())
            default: break
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        writer.append(interface(index: 0, isUp: nil))
        if let name { writer.attribute(IFLA_IFNAME, string: name.text) }
        encodeLinkAttributes(
            to: &writer, mtu: mtu, hardwareAddress: hardwareAddress, controller: nil, addressGeneration: nil,
            namespace: namespace)
    }
}
