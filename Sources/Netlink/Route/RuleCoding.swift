import CLinux
import IPNetwork
import LinuxSystem

extension Rule {
    /// `nil` for a family other than IPv4 and IPv6.
    init?(message: RawSpan) throws(MalformedMessage) {
        let header: fib_rule_hdr = try message.load()
        guard let family = AddressFamily(number: header.family) else { return nil }
        self.init(
            family: family, table: UInt32(header.table), action: Action(rawValue: header.action),
            isInverted: header.flags & UInt32(FIB_RULE_INVERT) != 0, tos: header.tos)
        try message.forEachAttribute(from: MemoryLayout<fib_rule_hdr>.size) { type, value throws(MalformedMessage) in
            switch type.number {
            case FRA_DST: destination = try value.prefix(family, length: header.dst_len)
            case FRA_SRC: source = try value.prefix(family, length: header.src_len)
            case FRA_IIFNAME: inputInterface = InterfaceName(value.string())
            case FRA_OIFNAME: outputInterface = InterfaceName(value.string())
            case FRA_PRIORITY: priority = try value.load()
            case FRA_FWMARK: mark = try value.load()
            case FRA_FWMASK: mask = try value.load()
            case FRA_TABLE: table = try value.load()
            case FRA_GOTO: gotoPriority = try value.load()
            case FRA_SUPPRESS_PREFIXLEN:
                // All ones, which the kernel always reports, is "no".
                let length: UInt32 = try value.load()
                suppressPrefixLength = length == .max ? nil : length
            case FRA_IP_PROTO: ipProtocol = try value.load()
            case FRA_SPORT_RANGE: sourcePorts = try value.range()
            case FRA_DPORT_RANGE: destinationPorts = try value.range()
            case FRA_PROTOCOL: proto = RouteProtocol(rawValue: try value.load())
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        var header = fib_rule_hdr()
        header.family = family.number
        header.dst_len = UInt8(truncatingIfNeeded: destination?.length ?? 0)
        header.src_len = UInt8(truncatingIfNeeded: source?.length ?? 0)
        header.tos = tos
        header.table = UInt8(exactly: table) ?? UInt8(RT_TABLE_UNSPEC.rawValue)
        header.action = action.rawValue
        header.flags = isInverted ? UInt32(FIB_RULE_INVERT) : 0
        writer.append(header)
        if let priority { writer.attribute(FRA_PRIORITY, priority) }
        if let source, source.length > 0 { writer.attribute(FRA_SRC, source.address) }
        if let destination, destination.length > 0 { writer.attribute(FRA_DST, destination.address) }
        if let mark { writer.attribute(FRA_FWMARK, mark) }
        if let mask { writer.attribute(FRA_FWMASK, mask) }
        if let inputInterface { writer.attribute(FRA_IIFNAME, string: inputInterface.text) }
        if let outputInterface { writer.attribute(FRA_OIFNAME, string: outputInterface.text) }
        if UInt8(exactly: table) == nil { writer.attribute(FRA_TABLE, table) }
        if let gotoPriority { writer.attribute(FRA_GOTO, gotoPriority) }
        if let suppressPrefixLength { writer.attribute(FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength) }
        if let ipProtocol { writer.attribute(FRA_IP_PROTO, ipProtocol) }
        if let sourcePorts { writer.attribute(FRA_SPORT_RANGE, sourcePorts.kernelValue) }
        if let destinationPorts { writer.attribute(FRA_DPORT_RANGE, destinationPorts.kernelValue) }
        if let proto { writer.attribute(FRA_PROTOCOL, proto.rawValue) }
        writer.attributes(otherAttributes)
    }
}

extension ClosedRange<UInt16> {
    fileprivate var kernelValue: fib_rule_port_range { fib_rule_port_range(start: lowerBound, end: upperBound) }
}
