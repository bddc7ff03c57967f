import CLinux

extension NetlinkEvent {
    /// The event that a message tells, or `nil` for a message this library has no type for.
    init?(type: UInt16, message: RawSpan) throws(MalformedMessage) {
        switch Int(type) {
        case RTM_NEWLINK:
            guard let link = try Link(message: message) else { return nil }
            self = .linkChanged(link)
        case RTM_DELLINK:
            guard let link = try Link(message: message) else { return nil }
            self = .linkRemoved(link)
        case RTM_NEWADDR:
            guard let address = try Address(message: message) else { return nil }
            self = .addressChanged(address)
        case RTM_DELADDR:
            guard let address = try Address(message: message) else { return nil }
            self = .addressRemoved(address)
        case RTM_NEWROUTE:
            guard let route = try Route(message: message) else { return nil }
            self = .routeChanged(route)
        case RTM_DELROUTE:
            guard let route = try Route(message: message) else { return nil }
            self = .routeRemoved(route)
        case RTM_NEWRULE:
            guard let rule = try Rule(message: message) else { return nil }
            self = .ruleChanged(rule)
        case RTM_DELRULE:
            guard let rule = try Rule(message: message) else { return nil }
            self = .ruleRemoved(rule)
        case RTM_NEWNEIGH:
            if let neighbour = try Neighbour(message: message) {
                self = .neighbourChanged(neighbour)
            } else if let entry = try ForwardingEntry(message: message) {
                self = .forwardingEntryChanged(entry)
            } else {
                return nil
            }
        case RTM_DELNEIGH:
            if let neighbour = try Neighbour(message: message) {
                self = .neighbourRemoved(neighbour)
            } else if let entry = try ForwardingEntry(message: message) {
                self = .forwardingEntryRemoved(entry)
            } else {
                return nil
            }
        case RTM_NEWNEXTHOP: self = .nexthopChanged(try NexthopObject(message: message))
        case RTM_DELNEXTHOP: self = .nexthopRemoved(try NexthopObject(message: message))
        default: return nil
        }
    }

    /// The changes in a datagram of the route family, as the kernel sends it; messages without a type here are left
    /// out.
    public static func decode(datagram: [UInt8]) throws(MalformedMessage) -> [NetlinkEvent] {
        var events: [NetlinkEvent] = []
        try datagram.span.bytes.forEachMessage { header, payload throws(MalformedMessage) in
            if let event = try NetlinkEvent(type: header.nlmsg_type, message: payload) { events.append(event) }
        }
        return events
    }
}
