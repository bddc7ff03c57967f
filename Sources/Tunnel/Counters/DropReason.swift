/// Why the tunnel did not pass a packet on.
public enum DropReason: Int, Error, CaseIterable, Sendable {
    // Towards other hosts.
    /// No next hop for the destination; the sender is told (ICMP net unreachable).
    case noNextHop
    /// A multicast or broadcast destination; nobody is told (RFC 1122, section 3.2.2).
    case multicast
    /// The TTL or hop limit ran out, in either direction; the sender is told.
    case hopLimit
    /// A kind of segmentation offload that was never asked for, or its numbers do not fit the packet.
    case badOffload
    /// The socket refused a datagram: no route, a firewall rule, no buffer.
    case sendFailed

    // From other hosts.
    /// The datagram's source address is no peer's.
    case unknownPeer
    /// The inner source is not in a subnet of the peer that the datagram came from.
    case sourceNotOwned
    /// The inner destination is not in this host's subnets: its other addresses are not reached through the tunnel.
    case destinationNotOurs
    /// The TUN device refused the packet: it is down, or out of memory.
    case writeFailed

    // Either.
    /// Shorter than its headers say.
    case truncated
    /// Neither IPv4 nor IPv6, or a header length that cannot be.
    case malformed
    /// The checksum of the inner IPv4 header is wrong.
    case badHeaderChecksum
}
