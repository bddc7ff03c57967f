/// Counters of an interface since it was made (`IFLA_STATS64`).
public struct LinkStatistics: Hashable, Sendable {
    /// As the driver counts them.
    public var receivedPackets: UInt64 = 0
    /// As the driver counts them.
    public var sentPackets: UInt64 = 0
    /// Bytes; whether framing counts is up to the driver.
    public var receivedBytes: UInt64 = 0
    /// Bytes; see `receivedBytes`.
    public var sentBytes: UInt64 = 0
    /// Bad packets received, of all causes.
    public var receiveErrors: UInt64 = 0
    /// Packets that could not be sent, of all causes.
    public var sendErrors: UInt64 = 0
    /// Packets received and dropped, mostly for want of room.
    public var receiveDrops: UInt64 = 0
    /// Packets dropped on the way out.
    public var sendDrops: UInt64 = 0

    /// All zero.
    public init() {}
}
