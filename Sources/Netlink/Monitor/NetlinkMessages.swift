import CLinux
import LinuxSystem

/// A message of any netlink protocol, undecoded.
public struct NetlinkMessage: Hashable, Sendable {
    /// What the message is, as its protocol numbers it.
    public var type: UInt16
    /// `NLM_F_*`, as in netlink(7).
    public var flags: UInt16
    /// The number of the request that it answers or stems from; 0 for none.
    public var sequence: UInt32
    /// What follows the netlink header.
    public var payload: [UInt8]

    /// All fields as given; only the payload is needed besides the type.
    public init(type: UInt16, flags: UInt16 = 0, sequence: UInt32 = 0, payload: [UInt8]) {
        self.type = type
        self.flags = flags
        self.sequence = sequence
        self.payload = payload
    }
}

/// The messages that the kernel sends to multicast groups of any netlink protocol, from the moment this is made.
///
/// What ``NetlinkMonitor`` says about loss, the single consumer and the end holds here too.
public struct NetlinkMessages: AsyncSequence, Sendable {
    /// A message, or the news that some are missing.
    public enum Element: Hashable, Sendable {
        case message(NetlinkMessage)
        /// Messages were lost: the state must be read again.
        case resync
    }

    private let subscription: Subscription<Element>

    /// - Parameters:
    ///   - number: the netlink protocol, as `NETLINK_NETFILTER` (12).
    ///   - groups: the protocol's numbers, as `NFNLGRP_NFTABLES` (7).
    ///   - namespace: `nil` for the calling thread's.
    ///   - limit: the number of messages kept for a consumer that falls behind, before they collapse into a resync.
    ///   - receiveBuffer: the size of the socket's buffer in bytes.
    /// - Throws: ``NetlinkError/system(_:)`` when the namespace, the socket or a group cannot be opened.
    public init(
        protocol number: CInt, groups: [UInt32], namespace: NetworkNamespace? = nil, limit: Int = 1024,
        receiveBuffer: Int = 1 << 20
    ) throws(NetlinkError) {
        subscription = try Subscription(
            protocol: number, groups: groups, namespace: namespace, limit: limit, receiveBuffer: receiveBuffer,
            overflow: .resync
        ) { header, payload throws(MalformedMessage) in
            .message(
                NetlinkMessage(
                    type: header.nlmsg_type, flags: header.nlmsg_flags, sequence: header.nlmsg_seq,
                    payload: payload.bytes()))
        }
    }

    /// All iterators share one stream: use one.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: subscription) }

    /// Hands out messages in the order in which the kernel sent them.
    public struct AsyncIterator: AsyncIteratorProtocol, Sendable {
        fileprivate let subscription: Subscription<Element>

        /// Waits for a message; `nil` at the end.
        public func next() async -> Element? { await subscription.next() }

        /// Waits for a message; `nil` at the end.
        public func next(isolation actor: isolated (any Actor)?) async -> Element? { await subscription.next() }
    }
}
