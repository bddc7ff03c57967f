import CLinux

extension RouteRequest {
    /// Writes the request as one message.
    func encode(to writer: inout MessageWriter, sequence: UInt32) {
        let (type, flags) = header
        writer.message(type: type, flags: NLM_F_REQUEST | flags, sequence: sequence) { writer in
            encodePayload(to: &writer)
        }
    }

    private var header: (type: Int, flags: Int32) {
        let add = NLM_F_CREATE | NLM_F_EXCL
        let replace = NLM_F_CREATE | NLM_F_REPLACE
        let append = NLM_F_CREATE | NLM_F_APPEND
        return switch self {
        case .createLink: (RTM_NEWLINK, add)
        case .changeLink: (RTM_NEWLINK, 0)
        case .deleteLink: (RTM_DELLINK, 0)
        case .addAddress: (RTM_NEWADDR, add)
        case .replaceAddress: (RTM_NEWADDR, replace)
        case .deleteAddress: (RTM_DELADDR, 0)
        case .addRoute: (RTM_NEWROUTE, add)
        case .replaceRoute: (RTM_NEWROUTE, replace)
        case .appendRoute: (RTM_NEWROUTE, append)
        case .deleteRoute: (RTM_DELROUTE, 0)
        case .replaceNeighbour, .replaceForwardingEntry: (RTM_NEWNEIGH, replace)
        case .appendForwardingEntry: (RTM_NEWNEIGH, append)
        case .deleteNeighbour, .deleteForwardingEntry: (RTM_DELNEIGH, 0)
        case .replaceNexthop: (RTM_NEWNEXTHOP, replace)
        case .deleteNexthop: (RTM_DELNEXTHOP, 0)
        case .addRule: (RTM_NEWRULE, add)
        case .deleteRule: (RTM_DELRULE, 0)
        }
    }

    private func encodePayload(to writer: inout MessageWriter) {
        switch self {
        case .createLink(let link): link.encode(to: &writer)
        case .changeLink(let change): change.encode(to: &writer)
        case .deleteLink(let index): writer.append(interface(index: index, isUp: nil))
        case .addAddress(let address), .replaceAddress(let address), .deleteAddress(let address):
            address.encode(to: &writer)
        case .addRoute(let route), .replaceRoute(let route), .appendRoute(let route), .deleteRoute(let route):
            route.encode(to: &writer)
        case .replaceNeighbour(let neighbour), .deleteNeighbour(let neighbour): neighbour.encode(to: &writer)
        case .replaceForwardingEntry(let entry), .appendForwardingEntry(let entry), .deleteForwardingEntry(let entry):
            entry.encode(to: &writer)
        case .replaceNexthop(let nexthop): nexthop.encode(to: &writer)
        case .deleteNexthop(let id):
            writer.append(nhmsg())
            writer.attribute(NHA_ID, id)
        case .addRule(let rule), .deleteRule(let rule): rule.encode(to: &writer)
        }
    }

    /// The request as the one message that is sent to the kernel.
    ///
    /// - Parameter sequence: the number that the answer will carry.
    public func encoded(sequence: UInt32 = 0) -> [UInt8] {
        var writer = MessageWriter(capacity: 512)
        encode(to: &writer, sequence: sequence)
        return writer.withBytes { Array($0) }
    }
}
