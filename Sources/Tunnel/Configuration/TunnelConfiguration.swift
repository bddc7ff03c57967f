import IPNetwork
import LinuxSystem

/// What a tunnel is made of.
public struct TunnelConfiguration: Sendable, Equatable {
    /// The TUN device: attached to when it is there, made (and kept after the end) when not. Its addresses, MTU, routes and
    /// state are not the tunnel's business.
    public var device: InterfaceName
    /// The addresses outside the tunnel that datagrams are sent from and received on: one of a family, at least one.
    public var endpoints: [IPAddress]
    /// The UDP port.
    public var port: UInt16
    /// The source of ICMP errors: an address of the device, of each family. Without one none are sent.
    public var addresses: [IPAddress]
    /// What packets from the network must prove.
    public var sourceCheck: SourceCheck
    /// Queues of the device, each with threads and sockets of its own, 1 to 16. More than one pays with many peers and
    /// more than two processors.
    public var queues: Int
    /// What of the kernel's abilities to use; what it lacks is left out.
    public var offloads: TunnelOffloads
    /// Bytes that each socket buffers in either direction.
    public var socketBuffer: Int

    /// One queue, all checks and everything that the kernel can do, unless said otherwise.
    public init(
        device: InterfaceName, endpoints: [IPAddress], port: UInt16, addresses: [IPAddress] = [],
        sourceCheck: SourceCheck = .peersAndSubnets, queues: Int = 1, offloads: TunnelOffloads = .all,
        socketBuffer: Int = 8 << 20
    ) {
        self.device = device
        self.endpoints = endpoints
        self.port = port
        self.addresses = addresses
        self.sourceCheck = sourceCheck
        self.queues = queues
        self.offloads = offloads
        self.socketBuffer = socketBuffer
    }
}
