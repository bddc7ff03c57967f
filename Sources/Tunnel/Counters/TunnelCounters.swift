/// What a tunnel has done since it was started.
public struct TunnelCounters: Sendable, Equatable {
    /// Inner packets sent to other hosts, each segment of a large one counted.
    public var sentPackets: UInt64 = 0
    /// Their bytes, inner headers included, outer ones not.
    public var sentBytes: UInt64 = 0
    /// Datagram messages given to the kernel; one carries up to 64 inner packets where it can segment.
    public var sentMessages: UInt64 = 0
    /// Inner packets received and passed to the TUN device.
    public var receivedPackets: UInt64 = 0
    /// Their bytes, inner headers included.
    public var receivedBytes: UInt64 = 0
    /// Datagram messages taken from the kernel.
    public var receivedMessages: UInt64 = 0
    /// Writes to the TUN device; with merging fewer than packets.
    public var tunWrites: UInt64 = 0
    /// ICMP errors sent to the sources of packets that could not be passed on.
    public var icmpSent: UInt64 = 0
    /// ICMP errors left out because there were over 1,000 in a second.
    public var icmpLimited: UInt64 = 0
    /// Packets that were not passed on.
    public var dropped: [DropReason: UInt64] = [:]

    /// All zero.
    public init() {}

    /// Adds what another tunnel has done.
    public mutating func add(_ other: TunnelCounters) {
        sentPackets &+= other.sentPackets
        sentBytes &+= other.sentBytes
        sentMessages &+= other.sentMessages
        receivedPackets &+= other.receivedPackets
        receivedBytes &+= other.receivedBytes
        receivedMessages &+= other.receivedMessages
        tunWrites &+= other.tunWrites
        icmpSent &+= other.icmpSent
        icmpLimited &+= other.icmpLimited
        dropped.merge(other.dropped) { $0 &+ $1 }
    }
}
