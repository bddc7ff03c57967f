import CLinux
import Glibc
import LinuxSystem

/// A netlink socket that listens to multicast groups, read by a thread of its own, so that the kernel's buffer is
/// emptied however busy the consumer is. Ends with its last reference.
final class Subscription<Element: Sendable>: Sendable {
    private let channel: EventChannel<Element>

    /// - Parameters:
    ///   - port: what the socket at this port causes is left out.
    ///   - overflow: what the consumer gets in the place of what was lost.
    ///   - decode: gives the element of a message, or `nil` to leave it out. Runs on the reading thread.
    init(
        protocol number: CInt, groups: [UInt32], namespace: NetworkNamespace?, limit: Int, receiveBuffer: Int,
        ignoring port: UInt32? = nil, overflow: Element,
        decode: @escaping @Sendable (nlmsghdr, RawSpan) throws(MalformedMessage) -> Element?
    ) throws(NetlinkError) {
        let socket = try OwnedDescriptor.netlink(
            protocol: number, namespace: namespace, flags: CInt(SOCK_NONBLOCK.rawValue))
        _ = socket.growReceiveBuffer(to: CInt(clamping: receiveBuffer))
        let signal: EndSignal
        do throws(SystemCallError) {
            if let port { try socket.drop(causedBy: port) }
            for group in groups { try socket.join(group: group) }
            signal = try EndSignal()
        } catch {
            throw .system(error)
        }
        let channel = EventChannel(limit: limit, overflow: overflow) { signal.send() }
        self.channel = channel
        let reader = SubscriptionReader(socket: socket, signal: signal, channel: channel, decode: decode)
        do throws(SystemCallError) {
            try ReadingThread.start(reader)
        } catch {
            throw .system(error)
        }
    }

    deinit { channel.finish() }

    func next() async -> Element? { await channel.next() }
}

/// Wakes the reading thread for the last time.
private final class EndSignal: Sendable {
    let descriptor: OwnedDescriptor

    init() throws(SystemCallError) {
        descriptor = OwnedDescriptor(
            owning: try systemCall("eventfd") { eventfd(0, CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)) })
    }

    func send() { eventfd_write(descriptor.rawValue, 1) }
}

/// What runs on the reading thread.
private final class SubscriptionReader<Element: Sendable>: ReadingThread.Work, Sendable {
    private let socket: OwnedDescriptor
    private let signal: EndSignal
    private let channel: EventChannel<Element>
    private let decode: @Sendable (nlmsghdr, RawSpan) throws(MalformedMessage) -> Element?

    init(
        socket: consuming OwnedDescriptor, signal: EndSignal, channel: EventChannel<Element>,
        decode: @escaping @Sendable (nlmsghdr, RawSpan) throws(MalformedMessage) -> Element?
    ) {
        self.socket = socket
        self.signal = signal
        self.channel = channel
        self.decode = decode
    }

    func run() {
        var buffer = ReceiveBuffer(capacity: 256 * 1024)
        while wait() {
            switch buffer.receive(from: socket.rawValue, flags: 0) {
            case .datagram(let count):
                do throws(MalformedMessage) {
                    try buffer.withSpan(count) { span throws(MalformedMessage) in
                        try span.forEachMessage { header, payload throws(MalformedMessage) in
                            if let element = try decode(header, payload) { channel.push(element) }
                        }
                    }
                } catch {
                    channel.pushOverflow()
                }
            case .tooLarge, .failed(ENOBUFS): channel.pushOverflow()
            case .failed(EAGAIN): break
            case .failed:
                // The socket is of no more use. Its end tells the consumer, who subscribes anew and reads everything.
                channel.finish()
                return
            }
        }
    }

    /// Waits for a datagram; `false` when the consumer has gone.
    private func wait() -> Bool {
        var descriptors = [
            pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signal.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        let isReady = (try? systemCall("poll") { poll(&descriptors, 2, -1) }) != nil
        return isReady && descriptors[1].revents == 0
    }
}
