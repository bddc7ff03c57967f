import CLinux
import Glibc
import IPNetwork

extension NexthopObject {
    init(message: RawSpan) throws(MalformedMessage) {
        let header: nhmsg = try message.load()
        let family = AddressFamily(number: header.nh_family)
        let onlinkBit = UInt32(RTNH_F_ONLINK)
        self.init(
            id: 0, onlink: header.nh_flags & onlinkBit != 0, proto: RouteProtocol(rawValue: header.nh_protocol),
            scope: RouteScope(rawValue: header.nh_scope),
            state: NextHop.State(rawValue: UInt8(truncatingIfNeeded: header.nh_flags & ~onlinkBit)))
        self.family = family
        try message.forEachAttribute(from: MemoryLayout<nhmsg>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case NHA_ID: id = try value.load()
            case NHA_OIF: interface = try value.load()
            case NHA_GATEWAY: gateway = try value.address()
            case NHA_BLACKHOLE: blackhole = true
            case NHA_FDB: forwardingDatabase = true
            case NHA_GROUP: group = try Member.list(value)
            case NHA_ENCAP_TYPE:
                encapsulation = NextHop.Encapsulation(
                    type: try value.load(), attributes: encapsulation?.attributes ?? [])
            case NHA_ENCAP:
                encapsulation = NextHop.Encapsulation(
                    type: encapsulation?.type ?? 0, attributes: try value.attributes())
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        var header = nhmsg()
        header.nh_family = family?.number ?? UInt8(AF_UNSPEC)
        header.nh_protocol = proto.rawValue
        header.nh_flags = onlink ? UInt32(RTNH_F_ONLINK) : 0
        writer.append(header)
        writer.attribute(NHA_ID, id)
        if !group.isEmpty {
            writer.nested(NHA_GROUP) { writer in
                for member in group {
                    var structure = nexthop_grp()
                    structure.id = member.id
                    structure.weight = UInt8(clamping: Int(member.weight) - 1)
                    writer.append(structure)
                }
            }
        }
        if blackhole { writer.flag(NHA_BLACKHOLE) }
        if let gateway { writer.attribute(NHA_GATEWAY, gateway) }
        if let interface { writer.attribute(NHA_OIF, interface) }
        encapsulation?.encode(to: &writer, type: NHA_ENCAP_TYPE, data: NHA_ENCAP)
        if forwardingDatabase { writer.flag(NHA_FDB) }
        writer.attributes(otherAttributes)
    }
}

extension NexthopObject.Member {
    /// From `NHA_GROUP`: structures one after another.
    fileprivate static func list(_ value: RawSpan) throws(MalformedMessage) -> [Self] {
        let size = MemoryLayout<nexthop_grp>.size
        var members: [Self] = []
        var offset = 0
        while offset < value.byteCount {
            let structure: nexthop_grp = try value.load(at: offset)
            members.append(Self(id: structure.id, weight: UInt16(structure.weight) + 1))
            offset += size
        }
        return members
    }
}
