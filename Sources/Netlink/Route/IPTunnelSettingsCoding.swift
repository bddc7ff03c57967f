import CLinux
import IPNetwork

extension IPTunnelSettings {
    /// From `IFLA_INFO_DATA`. The kernel writes "any" as zeros.
    init(_ value: RawSpan, family: AddressFamily) throws(MalformedMessage) {
        self.init()
        var type: TunnelEncapsulation.Kind?
        var encapsulation = TunnelEncapsulation(type: .none, destinationPort: 0)
        try value.forEachAttribute { attribute, value throws(MalformedMessage) in
            switch attribute.number {
            case IFLA_IPTUN_LOCAL: local = Self.given(try value.address(family))
            case IFLA_IPTUN_REMOTE: remote = Self.given(try value.address(family))
            case IFLA_IPTUN_LINK:
                let index: Int32 = try value.load()
                lower = index == 0 ? nil : index
            case IFLA_IPTUN_PROTO: innerProtocol = try value.load()
            case IFLA_IPTUN_TTL: ttl = try value.load()
            case IFLA_IPTUN_TOS: tos = try value.load()
            case IFLA_IPTUN_PMTUDISC: setsDoNotFragment = try value.bool()
            case IFLA_IPTUN_FLAGS where family == .v6: flags = try value.load()
            case IFLA_IPTUN_ENCAP_TYPE: type = TunnelEncapsulation.Kind(rawValue: try value.load())
            case IFLA_IPTUN_ENCAP_FLAGS: encapsulation.flags = TunnelEncapsulation.Flags(rawValue: try value.load())
            case IFLA_IPTUN_ENCAP_SPORT: encapsulation.sourcePort = try value.bigEndian()
            case IFLA_IPTUN_ENCAP_DPORT: encapsulation.destinationPort = try value.bigEndian()
            case IFLA_IPTUN_COLLECT_METADATA: external = true
            default: otherAttributes.append(Attribute(attribute, value))
            }
        }
        if let type, type != .none {
            encapsulation.type = type
            self.encapsulation = encapsulation
        }
    }

    private static func given(_ address: IPAddress) -> IPAddress? {
        address == .v4(.any) || address == .v6(IPv6Address(rawValue: 0)) ? nil : address
    }

    func encode(to writer: inout MessageWriter) {
        if let local { writer.attribute(IFLA_IPTUN_LOCAL, local) }
        if let remote { writer.attribute(IFLA_IPTUN_REMOTE, remote) }
        if let lower { writer.attribute(IFLA_IPTUN_LINK, lower) }
        if let innerProtocol { writer.attribute(IFLA_IPTUN_PROTO, innerProtocol) }
        if let ttl { writer.attribute(IFLA_IPTUN_TTL, ttl) }
        if let tos { writer.attribute(IFLA_IPTUN_TOS, tos) }
        if let setsDoNotFragment { writer.attribute(IFLA_IPTUN_PMTUDISC, UInt8(setsDoNotFragment ? 1 : 0)) }
        if let flags { writer.attribute(IFLA_IPTUN_FLAGS, flags) }
        if let encapsulation {
            writer.attribute(IFLA_IPTUN_ENCAP_TYPE, encapsulation.type.rawValue)
            writer.attribute(IFLA_IPTUN_ENCAP_FLAGS, encapsulation.flags.rawValue)
            writer.bigEndian(IFLA_IPTUN_ENCAP_SPORT, encapsulation.sourcePort)
            writer.bigEndian(IFLA_IPTUN_ENCAP_DPORT, encapsulation.destinationPort)
        }
        if external { writer.flag(IFLA_IPTUN_COLLECT_METADATA) }
        writer.attributes(otherAttributes)
    }
}
