/// Abilities of the kernel that make the tunnel fast, each of which it can do without.
public struct TunnelOffloads: OptionSet, Hashable, Sendable, CustomStringConvertible {
    /// A bit for each ability.
    public let rawValue: UInt8

    /// Any bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Virtio headers on the device: what the others on it need, and merging of received TCP segments.
    public static let virtioHeader = Self(rawValue: 1)
    /// Large TCP packets from the device (TSO), cut here.
    public static let tcpSegmentation = Self(rawValue: 2)
    /// Large UDP packets from and to the device (USO, Linux 6.2).
    public static let udpSegmentation = Self(rawValue: 4)
    /// Many datagrams in one message to the kernel (UDP_SEGMENT, Linux 4.18).
    public static let datagramSegmentation = Self(rawValue: 8)
    /// Many datagrams in one message from the kernel (UDP_GRO, Linux 5.0).
    public static let datagramMerging = Self(rawValue: 16)

    /// Everything.
    public static let all: Self = [
        .virtioHeader, .tcpSegmentation, .udpSegmentation, .datagramSegmentation, .datagramMerging,
    ]

    /// The kernel's names for what is in the set, with spaces between; `none` when empty.
    public var description: String {
        let names: [(Self, String)] = [
            (.virtioHeader, "vnet_hdr"), (.tcpSegmentation, "TSO"), (.udpSegmentation, "USO"),
            (.datagramSegmentation, "UDP_SEGMENT"), (.datagramMerging, "UDP_GRO"),
        ]
        let present = names.filter { contains($0.0) }.map(\.1)
        return present.isEmpty ? "none" : present.joined(separator: " ")
    }
}
