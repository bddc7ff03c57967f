import CLinux
import IPNetwork

extension Route {
    /// `nil` for a family other than IPv4 and IPv6.
    init?(message: RawSpan) throws(MalformedMessage) {
        let header: rtmsg = try message.load()
        guard let family = AddressFamily(number: header.rtm_family) else { return nil }
        self.init(
            destination: .all(family), table: UInt32(header.rtm_table),
            proto: RouteProtocol(rawValue: header.rtm_protocol),
            scope: RouteScope(rawValue: header.rtm_scope), type: RouteType(rawValue: header.rtm_type),
            tos: header.rtm_tos, path: .none, flags: Flags(rawValue: header.rtm_flags & ~0xff))
        var destination: IPPrefix?
        var nextHop = NextHop(flags: UInt8(truncatingIfNeeded: header.rtm_flags))
        var hasNextHop = false
        var several: [NextHop]?
        var object: UInt32?
        try message.forEachAttribute(from: MemoryLayout<rtmsg>.size) { type, value throws(MalformedMessage) in
            if try nextHop.take(type, value, family: family) {
                hasNextHop = true
                return
            }
            switch type.number {
            case RTA_DST: destination = try value.prefix(family, length: header.rtm_dst_len)
            case RTA_SRC: source = try value.prefix(family, length: header.rtm_src_len)
            case RTA_OIF:
                nextHop.interface = try value.load()
                hasNextHop = true
            case RTA_PRIORITY: metric = try value.load()
            case RTA_PREFSRC: preferredSource = try value.address(family)
            case RTA_METRICS: metrics = try RouteMetrics(value)
            case RTA_MULTIPATH: several = try NextHop.several(value, family: family)
            case RTA_TABLE: table = try value.load()
            case RTA_PREF: preference = try value.load()
            case RTA_NH_ID: object = try value.load()
            case RTA_CACHEINFO: break  // ages and use counts
            default: otherAttributes.append(Attribute(type, value))
            }
        }
        if let destination {
            self.destination = destination
        } else if header.rtm_dst_len != 0 {
            throw MalformedMessage(.badValue("destination: length \(header.rtm_dst_len) without address"))
        }
        if let object {
            path = .nexthopObject(id: object, resolved: hasNextHop && several == nil ? nextHop : nil)
        } else if let several {
            path = .multipath(several)
        } else if hasNextHop {
            path = .single(nextHop)
        }
    }

    func encode(to writer: inout MessageWriter) {
        var header = rtmsg()
        header.rtm_family = destination.family.number
        header.rtm_dst_len = UInt8(truncatingIfNeeded: destination.length)
        header.rtm_src_len = UInt8(truncatingIfNeeded: source?.length ?? 0)
        header.rtm_tos = tos
        header.rtm_table = UInt8(exactly: table) ?? UInt8(RT_TABLE_UNSPEC.rawValue)
        header.rtm_protocol = proto.rawValue
        header.rtm_scope = scope.rawValue
        header.rtm_type = type.rawValue
        if case .single(let nextHop) = path, nextHop.onlink { header.rtm_flags = UInt32(RTNH_F_ONLINK) }
        writer.append(header)
        if destination.length > 0 { writer.attribute(RTA_DST, destination.address) }
        if let source, source.length > 0 { writer.attribute(RTA_SRC, source.address) }
        if UInt8(exactly: table) == nil { writer.attribute(RTA_TABLE, table) }
        if let metric { writer.attribute(RTA_PRIORITY, metric) }
        if let preferredSource { writer.attribute(RTA_PREFSRC, preferredSource) }
        if !metrics.isEmpty { writer.nested(RTA_METRICS) { writer in metrics.encode(to: &writer) } }
        if let preference { writer.attribute(RTA_PREF, preference) }
        switch path {
        case .none: break
        case .single(let nextHop):
            nextHop.encodeAttributes(to: &writer, family: destination.family)
            if let interface = nextHop.interface { writer.attribute(RTA_OIF, interface) }
        case .multipath(let nextHops):
            writer.nested(RTA_MULTIPATH) { writer in
                for nextHop in nextHops { nextHop.encodeStructure(to: &writer, family: destination.family) }
            }
        case .nexthopObject(let id, _): writer.attribute(RTA_NH_ID, id)
        }
        writer.attributes(otherAttributes)
    }
}

extension NextHop {
    fileprivate init(flags: UInt8) {
        let onlink = UInt8(RTNH_F_ONLINK)
        self.init(onlink: flags & onlink != 0, state: State(rawValue: flags & ~onlink))
    }

    /// Takes an attribute that a next hop has alone and among several; `false` when it is another one.
    fileprivate mutating func take(
        _ type: AttributeType, _ value: RawSpan, family: AddressFamily
    ) throws(MalformedMessage) -> Bool {
        switch type.number {
        case RTA_GATEWAY: gateway = try value.address(family)
        case RTA_VIA: gateway = try value.extracting(min(2, value.byteCount)..<value.byteCount).address()
        case RTA_ENCAP_TYPE:
            encapsulation = Encapsulation(type: try value.load(), attributes: encapsulation?.attributes ?? [])
        case RTA_ENCAP:
            encapsulation = Encapsulation(type: encapsulation?.type ?? 0, attributes: try value.attributes())
        default: return false
        }
        return true
    }

    /// From `RTA_MULTIPATH`: structures that carry attributes.
    fileprivate static func several(_ value: RawSpan, family: AddressFamily) throws(MalformedMessage) -> [NextHop] {
        let headerSize = MemoryLayout<rtnexthop>.size
        var nextHops: [NextHop] = []
        var offset = 0
        while offset < value.byteCount {
            let header: rtnexthop = try value.load(at: offset)
            let length = Int(header.rtnh_len)
            guard length >= headerSize else { throw MalformedMessage(.badLength(offset: offset, length: length)) }
            guard length <= value.byteCount - offset else {
                throw MalformedMessage(.truncated(offset: offset, needed: length, available: value.byteCount))
            }
            var nextHop = NextHop(flags: header.rtnh_flags)
            nextHop.interface = header.rtnh_ifindex == 0 ? nil : header.rtnh_ifindex
            nextHop.weight = UInt16(header.rtnh_hops) + 1
            try value.extracting(offset..<offset + length)
                .forEachAttribute(from: headerSize) { type, value throws(MalformedMessage) in
                    _ = try nextHop.take(type, value, family: family)
                }
            nextHops.append(nextHop)
            offset += (length + 3) & ~3
        }
        return nextHops
    }

    fileprivate func encodeAttributes(to writer: inout MessageWriter, family: AddressFamily) {
        if let gateway {
            if gateway.family == family {
                writer.attribute(RTA_GATEWAY, gateway)
            } else {
                writer.via(gateway)
            }
        }
        encapsulation?.encode(to: &writer, type: Int(RTA_ENCAP_TYPE.rawValue), data: Int(RTA_ENCAP.rawValue))
    }

    fileprivate func encodeStructure(to writer: inout MessageWriter, family: AddressFamily) {
        var header = rtnexthop()
        header.rtnh_flags = onlink ? UInt8(RTNH_F_ONLINK) : 0
        header.rtnh_hops = UInt8(clamping: Int(weight) - 1)
        header.rtnh_ifindex = interface ?? 0
        writer.nextHop(header) { writer in encodeAttributes(to: &writer, family: family) }
    }
}

extension NextHop.Encapsulation {
    func encode(to writer: inout MessageWriter, type typeNumber: Int, data: Int) {
        writer.attribute(typeNumber, type)
        writer.nested(data | Int(NLA_F_NESTED)) { writer in writer.attributes(attributes) }
    }
}

extension RouteMetrics {
    /// From `RTA_METRICS`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            if type.number == RTAX_CC_ALGO {
                congestionControl = value.string()
            } else if let kind = UInt8(exactly: type.number) {
                self[Kind(rawValue: kind)] = try value.load(UInt32.self)
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        for entry in entries { writer.attribute(Int(entry.kind.rawValue), entry.value) }
        if let congestionControl { writer.attribute(RTAX_CC_ALGO, string: congestionControl) }
    }
}
