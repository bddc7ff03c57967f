import IPNetwork
import LinuxSystem

/// The network state of one namespace, read and changed: the kernel's, or a stand-in for tests.
///
/// Calls are synchronous and wait for the kernel. An implementation is safe to share; calls run one after another.
public protocol RouteNetlink: Sendable {
    func links() throws(NetlinkError) -> [Link]
    /// - Parameter interface: an index, or `nil` for all.
    func addresses(interface: Int32?) throws(NetlinkError) -> [Address]
    func routes(_ filter: RouteFilter) throws(NetlinkError) -> [Route]
    /// The route that packets of this host to `address` take, with the source address that they get; a local one for an
    /// address of this host. `nil` when there is none.
    func route(to address: IPAddress) throws(NetlinkError) -> Route?
    func rules() throws(NetlinkError) -> [Rule]
    /// - Parameter interface: an index, or `nil` for all.
    func neighbours(interface: Int32?) throws(NetlinkError) -> [Neighbour]
    /// - Parameter interface: the index of a VXLAN or a bridge port, or `nil` for all.
    func forwardingEntries(interface: Int32?) throws(NetlinkError) -> [ForwardingEntry]
    func nexthops() throws(NetlinkError) -> [NexthopObject]

    /// Carries out the requests in order and goes on past one that fails.
    ///
    /// - Returns: the requests that failed, in order; empty when all were done.
    /// - Throws: ``NetlinkError`` when the outcome is not known; the state must then be read again.
    func execute(_ requests: [RouteRequest]) throws(NetlinkError) -> [RequestFailure]
}

extension RouteNetlink {
    /// Of all interfaces.
    public func addresses() throws(NetlinkError) -> [Address] { try addresses(interface: nil) }
    /// Of both families and all tables.
    public func routes() throws(NetlinkError) -> [Route] { try routes(.all) }
    /// Of all interfaces.
    public func neighbours() throws(NetlinkError) -> [Neighbour] { try neighbours(interface: nil) }
    /// Of all VXLANs and bridge ports.
    public func forwardingEntries() throws(NetlinkError) -> [ForwardingEntry] { try forwardingEntries(interface: nil) }
}

/// A request of a batch that the kernel refused.
public struct RequestFailure: Error, Hashable, Sendable {
    /// The place in the batch, from 0.
    public var position: Int
    /// As it was given.
    public var request: RouteRequest
    /// The error number, as in errno(3).
    public var code: CInt
    /// The kernel's own words (extended acknowledgement), where it has any.
    public var message: String?
    /// Where in the message the cause is, in bytes from its header.
    public var offset: Int?
    /// The netlink sequence number.
    public var sequence: UInt32

    /// All fields as given.
    public init(
        position: Int, request: RouteRequest, code: CInt, message: String? = nil, offset: Int? = nil,
        sequence: UInt32 = 0
    ) {
        self.position = position
        self.request = request
        self.code = code
        self.message = message
        self.offset = offset
        self.sequence = sequence
    }
}

extension RequestFailure: CustomStringConvertible {
    /// What failed on which object, why, and what helps.
    public var description: String {
        KernelRefusal.text(subject: "\(request)", code: code, message: message, offset: offset)
    }
}
