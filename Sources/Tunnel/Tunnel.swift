import Glibc
import IPNetwork
import LinuxSystem

/// The userspace data plane of the udp backend: IP packets from a TUN device in UDP datagrams, one in each, and back.
///
/// The bytes on the wire are those of flannel's udp backend and of a kernel's Foo-over-UDP with IPIP. The packets pass
/// through threads of the tunnel's own; this object only starts them, tells them of next hops, and ends them.
public final class Tunnel: Sendable {
    private let core: TunnelCore
    /// What of the kernel's abilities is in use.
    public let offloads: TunnelOffloads
    /// The number of queues in use: one when the device is there with a single one.
    public let queueCount: Int
    private let device: InterfaceName

    /// Attaches to the device, opens the sockets and starts, in the network namespace of the calling thread.
    ///
    /// - Throws: ``TunnelError``; then nothing is left but the device.
    public init(_ configuration: TunnelConfiguration, nextHops: NextHopTable = NextHopTable()) throws(TunnelError) {
        try Self.validate(configuration)
        let queues = try Self.openQueues(configuration)
        let loops = queues.count * (1 + configuration.endpoints.count)
        do throws(SystemCallError) {
            core = try TunnelCore(
                table: nextHops, queues: queues, loops: loops, sourceCheck: configuration.sourceCheck,
                errorsV4: Self.errorSocket(configuration.addresses.first { !$0.isIPv6 }),
                errorsV6: Self.errorSocket(configuration.addresses.first { $0.isIPv6 }))
            offloads = queues.reduce(.all) { $0.intersection($1.offloads) }
            queueCount = queues.count
            device = configuration.device
            try Self.start(core, queues)
        } catch {
            throw .system(error)
        }
    }

    deinit { core.stop() }

    /// What the tunnel does from the next packet on. Packets under way are not lost.
    public func setNextHops(_ table: NextHopTable) { core.publisher.publish(table) }

    /// Whether the device of the tunnel's name is another one now: ours was renamed, or moved to another namespace, and
    /// goes on to give and take packets there.
    public var isDetached: Bool { !core.isAttached(to: device) }

    /// The sums over all loops, since the start.
    public var counters: TunnelCounters {
        var total = TunnelCounters()
        for block in core.counters { block.addTo(&total) }
        return total
    }

    /// Ends the loops and closes device and sockets. The device stays, with its addresses and routes, and drops what is
    /// sent to it until a tunnel attaches again.
    public func stop() async {
        core.stop()
        _ = await core.end()
    }

    /// Waits for the end, and says why it came. Cancelling the task stops the tunnel.
    public func end() async -> TunnelEnd {
        await withTaskCancellationHandler {
            await core.end()
        } onCancel: {
            core.stop()
        }
    }

    private static func validate(_ configuration: TunnelConfiguration) throws(TunnelError) {
        let families = configuration.endpoints.map(\.isIPv6)
        guard !families.isEmpty, Set(families).count == families.count else {
            throw .configuration("endpoints has \(configuration.endpoints): one address of each family, at least one")
        }
        guard (1...16).contains(configuration.queues) else {
            throw .configuration("queues is \(configuration.queues): 1 to 16 are allowed")
        }
        guard configuration.port != 0 else { throw .configuration("port is 0: 1 to 65535 are allowed") }
    }

    private static func errorSocket(_ address: IPAddress?) -> ErrorSocket? {
        // ICMP errors are a courtesy: without CAP_NET_RAW the tunnel works without them.
        guard let address else { return nil }
        return try? ErrorSocket(address)
    }

    private static func openQueues(_ configuration: TunnelConfiguration) throws(TunnelError) -> [TunnelQueue] {
        // A device that is there keeps the kind of queues that it was made with.
        let wanted = configuration.queues
        var choices = [(count: wanted, multiQueue: wanted > 1)]
        choices.append((count: 1, multiQueue: wanted == 1))
        var refusal: TunnelError?
        for choice in choices {
            do throws(TunnelError) {
                var queues: [TunnelQueue] = []
                for _ in 0..<choice.count {
                    queues.append(
                        try openQueue(configuration, multiQueue: choice.multiQueue, shared: choice.count > 1))
                }
                return queues
            } catch {
                guard case .device(_, let cause) = error, cause.code == EINVAL else { throw error }
                refusal = refusal ?? error
            }
        }
        throw refusal ?? .configuration("queues is \(wanted)")
    }

    private static func openQueue(
        _ configuration: TunnelConfiguration, multiQueue: Bool, shared: Bool
    ) throws(TunnelError) -> TunnelQueue {
        let device: TunDevice
        do throws(SystemCallError) {
            device = try TunDevice(configuration.device, multiQueue: multiQueue, wanted: configuration.offloads)
        } catch {
            throw .device(configuration.device, error)
        }
        let v4 = try openSocket(configuration, configuration.endpoints.first { !$0.isIPv6 }, shared: shared)
        let v6 = try openSocket(configuration, configuration.endpoints.first { $0.isIPv6 }, shared: shared)
        return TunnelQueue(device: device, v4: v4, v6: v6)
    }

    private static func openSocket(
        _ configuration: TunnelConfiguration, _ address: IPAddress?, shared: Bool
    ) throws(TunnelError) -> DatagramSocket? {
        guard let address else { return nil }
        do throws(SystemCallError) {
            return try DatagramSocket(
                address, port: configuration.port, shared: shared, buffer: configuration.socketBuffer,
                wanted: configuration.offloads)
        } catch {
            throw .socket(address, port: configuration.port, error)
        }
    }

    private static func start(_ core: TunnelCore, _ queues: [TunnelQueue]) throws(SystemCallError) {
        var slot = 0
        for queue in queues {
            let send = SendLoop(core: core, queue: queue, slot: slot)
            try core.start("tunnel-send") { send.run() }
            slot += 1
            for socket in [queue.socketV4, queue.socketV6] where socket >= 0 {
                let receive = ReceiveLoop(core: core, queue: queue, socket: socket, slot: slot)
                try core.start("tunnel-receive") { receive.run() }
                slot += 1
            }
        }
    }
}
