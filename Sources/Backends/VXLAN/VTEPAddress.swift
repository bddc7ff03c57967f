import IPNetwork

/// The MAC address that a host's VXLAN interface gets.
///
/// It is derived from the subnet that the host leases. So it is unique in the overlay by construction, the same after
/// every restart without a file, and different on hosts cloned from one image, where udev derives one address from one
/// machine-id for all of them.
enum VTEPAddress {
    /// `ee:04` (locally administered, unicast) and the four bytes of the subnet's address.
    static func derived(from subnet: IPv4Prefix) -> MACAddress {
        MACAddress(rawValue: 0xee04_0000_0000 | UInt64(subnet.address.rawValue))
    }

    /// `ee:06` and the 128 bits of the subnet's address folded to 32 with FNV-1a.
    static func derived(from subnet: IPv6Prefix) -> MACAddress {
        let hash = subnet.address.bytes.reduce(UInt32(0x811c_9dc5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        return MACAddress(rawValue: 0xee06_0000_0000 | UInt64(hash))
    }
}
