import CLinux
import Glibc
import IPNetwork

extension Neighbour {
    /// `nil` for a family other than IPv4 and IPv6.
    init?(message: RawSpan) throws(MalformedMessage) {
        let header: ndmsg = try message.load()
        guard let family = AddressFamily(number: header.ndm_family) else { return nil }
        var address: IPAddress?
        self.init(
            interface: header.ndm_ifindex, address: .v4(.any), state: NeighbourState(rawValue: header.ndm_state),
            flags: NeighbourFlags(rawValue: header.ndm_flags))
        try message.forEachAttribute(from: MemoryLayout<ndmsg>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case NDA_DST: address = try value.address(family)
            case NDA_LLADDR where value.byteCount == 6: linkLayer = value.macAddress()
            case NDA_PROTOCOL: proto = RouteProtocol(rawValue: try value.load())
            case NDA_CACHEINFO, NDA_PROBES: break
            default: otherAttributes.append(Attribute(type, value))
            }
        }
        guard let address else { throw MalformedMessage(.badValue("neighbour without address")) }
        self.address = address
    }

    func encode(to writer: inout MessageWriter) {
        var header = ndmsg()
        header.ndm_family = address.family.number
        header.ndm_ifindex = interface
        header.ndm_state = state.rawValue
        header.ndm_flags = flags.rawValue
        writer.append(header)
        writer.attribute(NDA_DST, address)
        if let linkLayer { writer.attribute(NDA_LLADDR, linkLayer) }
        if let proto { writer.attribute(NDA_PROTOCOL, proto.rawValue) }
        writer.attributes(otherAttributes)
    }
}
