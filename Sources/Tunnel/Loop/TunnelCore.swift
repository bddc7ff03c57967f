import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// How a tunnel ended.
public enum TunnelEnd: Hashable, Sendable {
    /// It was told to.
    case stopped
    /// The TUN device was deleted. A new tunnel makes a new one.
    case deviceLost
    /// The kernel refused to go on.
    case failed(SystemCallError)
}

/// What a tunnel's loops share. Lives until the last of them has ended, whoever let go of the tunnel.
final class TunnelCore: Sendable {
    let publisher: NextHopPublisher
    let counters: [CounterBlock]
    private let queues: [TunnelQueue]
    let sourceCheck: SourceCheck
    let errorsV4: ErrorSocket?
    let errorsV6: ErrorSocket?
    private let stopEvent: OwnedDescriptor
    private let stopping = Atomic(false)

    private struct Ending {
        var running = 0
        var end: TunnelEnd?
        var waiters: [CheckedContinuation<TunnelEnd, Never>] = []
    }
    private let ending = Mutex(Ending())

    init(
        table: NextHopTable, queues: [TunnelQueue], loops: Int, sourceCheck: SourceCheck,
        errorsV4: consuming ErrorSocket?, errorsV6: consuming ErrorSocket?
    ) throws(SystemCallError) {
        stopEvent = OwnedDescriptor(
            owning: try systemCall("eventfd") { eventfd(0, CInt(EFD_CLOEXEC)) })
        publisher = NextHopPublisher(table, loops: loops)
        self.queues = queues
        counters = (0..<loops).map { _ in CounterBlock() }
        self.sourceCheck = sourceCheck
        self.errorsV4 = errorsV4
        self.errorsV6 = errorsV6
    }

    deinit { for block in counters { block.deallocate() } }

    @inline(__always) var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Whether every queue is of the device that has `name` now.
    func isAttached(to name: InterfaceName) -> Bool { queues.allSatisfy { $0.isAttached(to: name) ?? true } }

    /// Ends all loops soon.
    func stop() {
        stopping.store(true, ordering: .relaxed)
        // Never read again, so it stays readable for every loop.
        eventfd_write(stopEvent.rawValue, 1)
    }

    /// Waits until `descriptor` can be read or the tunnel is to stop.
    func wait(for descriptor: CInt) {
        var waits = (
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stopEvent.rawValue, events: Int16(POLLIN), revents: 0)
        )
        withUnsafeMutableBytes(of: &waits) { bytes in
            _ = bytes.withMemoryRebound(to: pollfd.self) { poll($0.baseAddress, 2, -1) }
        }
    }

    /// Starts a loop. When that fails, the loops already started end.
    func start(_ name: StaticString, _ body: @escaping @Sendable () -> TunnelEnd) throws(SystemCallError) {
        ending.withLock { $0.running += 1 }
        do throws(SystemCallError) {
            try LoopThread.start { [self] in
                LoopThread.setName(name)
                ended(body())
            }
        } catch {
            ended(.failed(error))
            throw error
        }
    }

    private func ended(_ end: TunnelEnd) {
        // The first to end says why, and says it before the others are stopped for it.
        ending.withLock { ending in
            if ending.end == nil { ending.end = end }
        }
        stop()
        let (waiters, reason) = ending.withLock { ending in
            ending.running -= 1
            guard ending.running == 0 else { return ([CheckedContinuation<TunnelEnd, Never>](), end) }
            // Here and not when the last reference goes, so that who has waited for the end can open them again.
            for queue in queues { queue.close() }
            defer { ending.waiters = [] }
            return (ending.waiters, ending.end ?? end)
        }
        for waiter in waiters { waiter.resume(returning: reason) }
    }

    /// Waits until every loop has ended.
    func end() async -> TunnelEnd {
        await withCheckedContinuation { continuation in
            let end = ending.withLock { ending -> TunnelEnd? in
                if ending.running == 0 { return ending.end ?? .stopped }
                ending.waiters.append(continuation)
                return nil
            }
            if let end { continuation.resume(returning: end) }
        }
    }
}
