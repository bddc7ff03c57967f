import CLinux
import IPNetwork

extension Address {
    /// `nil` for a family other than IPv4 and IPv6.
    init?(message: RawSpan) throws(MalformedMessage) {
        let header: ifaddrmsg = try message.load()
        guard let family = AddressFamily(number: header.ifa_family) else { return nil }
        var own: IPAddress?
        var local: IPAddress?
        self.init(
            interface: Int32(bitPattern: header.ifa_index), address: .v4(.any), prefixLength: Int(header.ifa_prefixlen),
            scope: RouteScope(rawValue: header.ifa_scope), flags: AddressFlags(rawValue: UInt32(header.ifa_flags)))
        try message.forEachAttribute(from: MemoryLayout<ifaddrmsg>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case IFA_ADDRESS: own = try value.address(family)
            case IFA_LOCAL: local = try value.address(family)
            case IFA_BROADCAST: broadcast = try value.address(family).v4
            case IFA_LABEL: label = value.string()
            case IFA_FLAGS: flags = AddressFlags(rawValue: try value.load())
            case IFA_CACHEINFO:
                let lifetimes: ifa_cacheinfo = try value.load()
                validLifetime = lifetimes.ifa_valid == .max ? nil : lifetimes.ifa_valid
                preferredLifetime = lifetimes.ifa_prefered == .max ? nil : lifetimes.ifa_prefered
            case IFA_RT_PRIORITY: routeMetric = try value.load()
            case IFA_PROTO: proto = RouteProtocol(rawValue: try value.load())
            default: otherAttributes.append(Attribute(type, value))
            }
        }
        // On a point-to-point link IFA_ADDRESS is the other end (linux/if_addr.h).
        guard let address = local ?? own else {
            throw MalformedMessage(.badValue("address message without address"))
        }
        guard prefixLength <= family.bitWidth else {
            throw MalformedMessage(.badValue("prefix length \(prefixLength)"))
        }
        self.address = address
        if let own, own != address { peer = own }
    }

    func encode(to writer: inout MessageWriter) {
        var header = ifaddrmsg()
        header.ifa_family = address.family.number
        header.ifa_prefixlen = UInt8(clamping: prefixLength)
        header.ifa_scope = scope.rawValue
        header.ifa_index = UInt32(bitPattern: interface)
        header.ifa_flags = UInt8(truncatingIfNeeded: flags.rawValue)
        writer.append(header)
        writer.attribute(IFA_LOCAL, address)
        writer.attribute(IFA_ADDRESS, peer ?? address)
        if let broadcast { writer.attribute(IFA_BROADCAST, .v4(broadcast)) }
        if let label { writer.attribute(IFA_LABEL, string: label) }
        if flags.rawValue > 0xff { writer.attribute(IFA_FLAGS, flags.rawValue) }
        if validLifetime != nil || preferredLifetime != nil {
            var lifetimes = ifa_cacheinfo()
            lifetimes.ifa_valid = validLifetime ?? .max
            lifetimes.ifa_prefered = preferredLifetime ?? .max
            writer.attribute(IFA_CACHEINFO, lifetimes)
        }
        if let routeMetric { writer.attribute(IFA_RT_PRIORITY, routeMetric) }
        if let proto { writer.attribute(IFA_PROTO, proto.rawValue) }
        writer.attributes(otherAttributes)
    }
}
