/// What a packet from the network must prove before it is passed to the TUN device.
public enum SourceCheck: String, CaseIterable, Sendable {
    /// Its datagram comes from a peer's address, its inner source is in a subnet of that peer, and its destination is in
    /// this host's own.
    case peersAndSubnets
    /// Its datagram comes from a peer's address, and its destination is in this host's own subnets: for networks that
    /// route through the overlay from elsewhere.
    case peers
    /// Nothing, as with flannel.
    case none
}
