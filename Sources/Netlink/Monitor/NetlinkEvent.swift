/// A change of the kernel's network state.
public enum NetlinkEvent: Hashable, Sendable {
    case linkChanged(Link)
    case linkRemoved(Link)
    case addressChanged(Address)
    case addressRemoved(Address)
    case routeChanged(Route)
    case routeRemoved(Route)
    case ruleChanged(Rule)
    case ruleRemoved(Rule)
    case neighbourChanged(Neighbour)
    case neighbourRemoved(Neighbour)
    case forwardingEntryChanged(ForwardingEntry)
    case forwardingEntryRemoved(ForwardingEntry)
    case nexthopChanged(NexthopObject)
    case nexthopRemoved(NexthopObject)
    /// Changes were lost, or could not be understood: the state must be read again.
    case resync
}
