import CLinux
import IPNetwork

extension LinkKind {
    /// From `IFLA_LINKINFO`; `nil` when it names no kind (a bridge port's slave data alone).
    init?(_ value: RawSpan) throws(MalformedMessage) {
        var name: String?
        try value.forEachAttribute { type, value in
            if type.number == IFLA_INFO_KIND { name = value.string() }
        }
        guard let name else { return nil }
        // Without data the kind is all that is known; its fields then have the values of an empty list.
        var kind = try LinkKind(name: name, data: RawSpan())
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            if type.number == IFLA_INFO_DATA { kind = try LinkKind(name: name, data: value) }
        }
        self = kind
    }

    private init(name: String, data: RawSpan) throws(MalformedMessage) {
        switch name {
        case "vxlan": self = .vxlan(try VXLANSettings(data))
        case "bridge": self = .bridge(try BridgeSettings(data))
        case "tun": self = .tun(try TunSettings(data))
        case "vlan": self = .vlan(try VLANSettings(data))
        case "macvlan": self = .macvlan(try MACVLANSettings(data))
        case "ipvlan": self = .ipvlan(try IPVLANSettings(data))
        case "ipip": self = .ipip(try IPTunnelSettings(data, family: .v4))
        case "ip6tnl": self = .ip6tnl(try IPTunnelSettings(data, family: .v6))
        case "veth":
            var peer: VethPeer?
            try data.forEachAttribute { type, value throws(MalformedMessage) in
                if type.number == VETH_INFO_PEER { peer = try VethPeer(value) }
            }
            self = .veth(peer: peer)
        default: self = .other(name: name, data: try data.attributes())
        }
    }

    /// - Parameter changing: for a living interface, which takes no peer.
    func encode(to writer: inout MessageWriter, changing: Bool) {
        writer.nested(IFLA_LINKINFO) { writer in
            writer.attribute(IFLA_INFO_KIND, string: name)
            switch self {
            case .vxlan(let settings):
                writer.nested(IFLA_INFO_DATA) { writer in settings.encode(to: &writer, changing: changing) }
            case .bridge(let settings):
                writer.nested(IFLA_INFO_DATA) { writer in settings.encode(to: &writer) }
            case .veth(let peer):
                guard let peer, !changing else { return }
                writer.nested(IFLA_INFO_DATA) { writer in
                    writer.nested(VETH_INFO_PEER) { writer in peer.encode(to: &writer) }
                }
            case .vlan(let settings):
                writer.nested(IFLA_INFO_DATA) { writer in settings.encode(to: &writer) }
            case .macvlan(let settings):
                writer.nested(IFLA_INFO_DATA) { writer in settings.encode(to: &writer) }
            case .ipvlan(let settings):
                writer.nested(IFLA_INFO_DATA) { writer in settings.encode(to: &writer) }
            case .ipip(let settings), .ip6tnl(let settings):
                writer.nested(IFLA_INFO_DATA) { writer in settings.encode(to: &writer) }
            case .tun: break  // refused by the kernel whatever it says
            case .other(_, let data):
                guard !data.isEmpty else { return }
                writer.nested(IFLA_INFO_DATA) { writer in writer.attributes(data) }
            }
        }
    }
}

extension VXLANSettings {
    /// From `IFLA_INFO_DATA`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        self.init(vni: 0, port: 0, learning: false)
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_VXLAN_ID: vni = try value.load()
            case IFLA_VXLAN_PORT: port = try value.bigEndian()
            case IFLA_VXLAN_LOCAL: local = try value.address(.v4)
            case IFLA_VXLAN_LOCAL6: local = try value.address(.v6)
            case IFLA_VXLAN_GROUP: group = try value.address(.v4)
            case IFLA_VXLAN_GROUP6: group = try value.address(.v6)
            case IFLA_VXLAN_LINK: lower = try value.load()
            case IFLA_VXLAN_LEARNING: learning = try value.bool()
            case IFLA_VXLAN_GBP: gbp = true
            case IFLA_VXLAN_TTL: ttl = try value.load()
            case IFLA_VXLAN_TOS: tos = try value.load()
            case IFLA_VXLAN_LABEL: flowLabel = try value.bigEndian()
            case IFLA_VXLAN_AGEING: ageing = try value.load()
            case IFLA_VXLAN_LIMIT: limit = try value.load()
            case IFLA_VXLAN_PORT_RANGE: sourcePorts = try value.bigEndianRange()
            case IFLA_VXLAN_PROXY: proxy = try value.bool()
            case IFLA_VXLAN_RSC: routeShortCircuit = try value.bool()
            case IFLA_VXLAN_L2MISS: reportLinkMisses = try value.bool()
            case IFLA_VXLAN_L3MISS: reportNetworkMisses = try value.bool()
            case IFLA_VXLAN_UDP_CSUM: udpChecksum = try value.bool()
            case IFLA_VXLAN_UDP_ZERO_CSUM6_TX: udpZeroChecksumIPv6Send = try value.bool()
            case IFLA_VXLAN_UDP_ZERO_CSUM6_RX: udpZeroChecksumIPv6Receive = try value.bool()
            case IFLA_VXLAN_COLLECT_METADATA: external = try value.bool()
            case IFLA_VXLAN_DF: doNotFragment = try value.load()
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter, changing: Bool) {
        writer.attribute(IFLA_VXLAN_ID, vni)
        if let group { writer.attribute(group.isIPv6 ? IFLA_VXLAN_GROUP6 : IFLA_VXLAN_GROUP, group) }
        if let local { writer.attribute(local.isIPv6 ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL, local) }
        if let lower { writer.attribute(IFLA_VXLAN_LINK, lower) }
        // Refused for a living interface, whatever the value.
        if !(changing && port == 0) { writer.bigEndian(IFLA_VXLAN_PORT, port) }
        writer.attribute(IFLA_VXLAN_LEARNING, UInt8(learning ? 1 : 0))
        if gbp { writer.flag(IFLA_VXLAN_GBP) }
        if let ttl { writer.attribute(IFLA_VXLAN_TTL, ttl) }
        if let tos { writer.attribute(IFLA_VXLAN_TOS, tos) }
        if let flowLabel { writer.bigEndian(IFLA_VXLAN_LABEL, flowLabel) }
        if let ageing { writer.attribute(IFLA_VXLAN_AGEING, ageing) }
        if let limit { writer.attribute(IFLA_VXLAN_LIMIT, limit) }
        if let sourcePorts {
            writer.attribute(
                IFLA_VXLAN_PORT_RANGE,
                ifla_vxlan_port_range(low: sourcePorts.lowerBound.bigEndian, high: sourcePorts.upperBound.bigEndian))
        }
        for (type, value) in [
            (IFLA_VXLAN_PROXY, proxy), (IFLA_VXLAN_RSC, routeShortCircuit), (IFLA_VXLAN_L2MISS, reportLinkMisses),
            (IFLA_VXLAN_L3MISS, reportNetworkMisses), (IFLA_VXLAN_UDP_CSUM, udpChecksum),
            (IFLA_VXLAN_UDP_ZERO_CSUM6_TX, udpZeroChecksumIPv6Send),
            (IFLA_VXLAN_UDP_ZERO_CSUM6_RX, udpZeroChecksumIPv6Receive), (IFLA_VXLAN_COLLECT_METADATA, external),
        ] {
            if let value { writer.attribute(type, UInt8(value ? 1 : 0)) }
        }
        if let doNotFragment { writer.attribute(IFLA_VXLAN_DF, doNotFragment) }
        writer.attributes(otherAttributes)
    }
}

extension BridgeSettings {
    /// From `IFLA_INFO_DATA`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        self.init()
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_BR_FORWARD_DELAY: forwardDelay = try value.load()
            case IFLA_BR_HELLO_TIME: helloTime = try value.load()
            case IFLA_BR_MAX_AGE: maxAge = try value.load()
            case IFLA_BR_AGEING_TIME: ageingTime = try value.load()
            case IFLA_BR_STP_STATE: spanningTree = try value.load(UInt32.self) != 0
            case IFLA_BR_PRIORITY: priority = try value.load()
            case IFLA_BR_VLAN_FILTERING: vlanFiltering = try value.bool()
            case IFLA_BR_MCAST_SNOOPING: multicastSnooping = try value.bool()
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        if let forwardDelay { writer.attribute(IFLA_BR_FORWARD_DELAY, forwardDelay) }
        if let helloTime { writer.attribute(IFLA_BR_HELLO_TIME, helloTime) }
        if let maxAge { writer.attribute(IFLA_BR_MAX_AGE, maxAge) }
        if let ageingTime { writer.attribute(IFLA_BR_AGEING_TIME, ageingTime) }
        if let spanningTree { writer.attribute(IFLA_BR_STP_STATE, UInt32(spanningTree ? 1 : 0)) }
        if let priority { writer.attribute(IFLA_BR_PRIORITY, priority) }
        if let vlanFiltering { writer.attribute(IFLA_BR_VLAN_FILTERING, UInt8(vlanFiltering ? 1 : 0)) }
        if let multicastSnooping { writer.attribute(IFLA_BR_MCAST_SNOOPING, UInt8(multicastSnooping ? 1 : 0)) }
        writer.attributes(otherAttributes)
    }
}

extension TunSettings {
    /// From `IFLA_INFO_DATA`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_TUN_TYPE: self.type = try value.load()
            case IFLA_TUN_OWNER: owner = try value.load()
            case IFLA_TUN_GROUP: group = try value.load()
            case IFLA_TUN_PI: packetInformation = try value.bool()
            case IFLA_TUN_VNET_HDR: virtualHeader = try value.bool()
            case IFLA_TUN_PERSIST: persistent = try value.bool()
            case IFLA_TUN_MULTI_QUEUE: multiQueue = try value.bool()
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }
}
