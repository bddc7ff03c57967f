import CLinux
import Glibc
import IPNetwork

extension FOUPort {
    /// From the attributes of an answer. The kernel writes "any" as zeros.
    init(_ attributes: [Attribute]) throws(MalformedMessage) {
        var family: AddressFamily?
        self.init(family: .v4, port: 0, innerProtocol: 0)
        for attribute in attributes {
            switch Int(attribute.number) {
            case FOU_ATTR_PORT: port = UInt16(bigEndian: try attribute.integer())
            case FOU_ATTR_AF:
                let number: UInt8 = try attribute.integer()
                family = AddressFamily.allCases.first { $0.number == number }
            case FOU_ATTR_IPPROTO: innerProtocol = try attribute.integer()
            case FOU_ATTR_TYPE: isGUE = try attribute.integer(UInt8.self) == UInt8(FOU_ENCAP_GUE)
            case FOU_ATTR_LOCAL_V4, FOU_ATTR_LOCAL_V6: local = try attribute.givenAddress()
            case FOU_ATTR_PEER_V4, FOU_ATTR_PEER_V6: peer = try attribute.givenAddress()
            case FOU_ATTR_PEER_PORT: peerPort = UInt16(bigEndian: try attribute.integer())
            case FOU_ATTR_IFINDEX: interface = try attribute.integer()
            default: otherAttributes.append(attribute)
            }
        }
        guard let family else { throw MalformedMessage(.badValue("FOU port \(port) of no known family")) }
        guard port != 0 else { throw MalformedMessage(.badValue("FOU port 0")) }
        self.family = family
    }

    /// - Parameter isNew: what only a new port is told is left out without: a deletion that has it is refused by no kernel,
    ///   but looked at by none either.
    func attributes(isNew: Bool) -> [Attribute] {
        var attributes = [
            Attribute(type: UInt16(FOU_ATTR_PORT), port.bigEndian), Attribute(type: UInt16(FOU_ATTR_AF), family.number),
        ]
        if isNew {
            attributes.append(Attribute(type: UInt16(FOU_ATTR_IPPROTO), innerProtocol))
            let type = UInt8(isGUE ? FOU_ENCAP_GUE : FOU_ENCAP_DIRECT)
            attributes.append(Attribute(type: UInt16(FOU_ATTR_TYPE), type))
        }
        if let local { attributes.append(local.attribute(v4: FOU_ATTR_LOCAL_V4, v6: FOU_ATTR_LOCAL_V6)) }
        if let peer { attributes.append(peer.attribute(v4: FOU_ATTR_PEER_V4, v6: FOU_ATTR_PEER_V6)) }
        if peerPort != 0 { attributes.append(Attribute(type: UInt16(FOU_ATTR_PEER_PORT), peerPort.bigEndian)) }
        if interface != 0 { attributes.append(Attribute(type: UInt16(FOU_ATTR_IFINDEX), interface)) }
        return attributes + (isNew ? otherAttributes : [])
    }
}

extension Attribute {
    fileprivate func givenAddress() throws(MalformedMessage) -> IPAddress? {
        guard value.contains(where: { $0 != 0 }) else { return nil }
        return try value.span.bytes.address()
    }
}

extension IPAddress {
    fileprivate func attribute(v4: Int, v6: Int) -> Attribute {
        switch self {
        case .v4(let address): Attribute(type: UInt16(v4), address.rawValue.bigEndian)
        case .v6(let address): Attribute(type: UInt16(v6), address.rawValue.bigEndian)
        }
    }
}
