import CLinux
import Glibc
import IPNetwork

extension ForwardingEntry {
    /// `nil` for a family other than `AF_BRIDGE`, or an entry whose link-layer address has not six bytes.
    init?(message: RawSpan) throws(MalformedMessage) {
        let header: ndmsg = try message.load()
        guard header.ndm_family == UInt8(AF_BRIDGE) else { return nil }
        var mac: MACAddress?
        self.init(
            interface: header.ndm_ifindex, mac: MACAddress(rawValue: 0),
            state: NeighbourState(rawValue: header.ndm_state), flags: NeighbourFlags(rawValue: header.ndm_flags))
        try message.forEachAttribute(from: MemoryLayout<ndmsg>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case NDA_LLADDR: mac = value.macAddress()
            case NDA_DST: destination = try value.address()
            case NDA_VNI: vni = try value.load()
            case NDA_PORT: port = try value.bigEndian()
            case NDA_IFINDEX: via = try value.load()
            case NDA_VLAN: vlan = try value.load()
            case NDA_MASTER: controller = try value.load()
            case NDA_SRC_VNI: sourceVNI = try value.load()
            case NDA_NH_ID: nexthop = try value.load()
            case NDA_CACHEINFO, NDA_PROBES: break
            default: otherAttributes.append(Attribute(type, value))
            }
        }
        guard let mac else { return nil }
        self.mac = mac
    }

    func encode(to writer: inout MessageWriter) {
        var header = ndmsg()
        header.ndm_family = UInt8(AF_BRIDGE)
        header.ndm_ifindex = interface
        header.ndm_state = state.rawValue
        header.ndm_flags = flags.rawValue
        writer.append(header)
        writer.attribute(NDA_LLADDR, mac)
        if let destination { writer.attribute(NDA_DST, destination) }
        if let vlan { writer.attribute(NDA_VLAN, vlan) }
        if let nexthop { writer.attribute(NDA_NH_ID, nexthop) }
        if let port { writer.bigEndian(NDA_PORT, port) }
        if let vni { writer.attribute(NDA_VNI, vni) }
        if let sourceVNI { writer.attribute(NDA_SRC_VNI, sourceVNI) }
        if let via { writer.attribute(NDA_IFINDEX, via) }
        writer.attributes(otherAttributes)
    }
}
