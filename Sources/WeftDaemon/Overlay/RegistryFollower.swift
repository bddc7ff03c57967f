import Backends
import EtcdRegistry
import Leases
import Operations
import Synchronization

/// Runs the registry for as long as the daemon runs: again from the host's new address when it gets one, since a
/// connection from the old one hangs until a timeout finds out.
struct RegistryFollower: Sendable {
    private let registry: EtcdLeaseRegistry
    private let subnetFile: SubnetFile
    private let host: CurrentHost
    private let wants: @Sendable (WantedFamilies) -> Void

    /// - Parameter wants: told the families of the network config, so that the interface is chosen for them.
    init(
        registry: EtcdLeaseRegistry, subnetFile: SubnetFile, host: HostFacts,
        wants: @escaping @Sendable (WantedFamilies) -> Void
    ) {
        self.registry = registry
        self.subnetFile = subnetFile
        self.host = CurrentHost(host)
        self.wants = wants
    }

    /// The external interface, its address or its MTU changed.
    func take(_ new: HostFacts) { host.replace(with: new) }

    /// Runs until the task is cancelled.
    func run(publish: @escaping @Sendable (RegistryUpdate) -> Void) async throws {
        while true {
            try Task.checkCancellation()
            let moves = host.moves()
            try await withThrowingTaskGroup { group in
                group.addTask { try await registry.run(claim: claim(), publish: publish) }
                group.addTask { for await _ in moves { return } }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    private func claim() -> LeaseClaim {
        let facts = host.facts
        return LeaseClaim(
            publicIP: facts.publicIPv4, publicIPv6: facts.publicIPv6, previous: subnetFile.previousSubnet()
        ) { [host, wants] config, key, existing in
            wants(WantedFamilies(config))
            // Asked again for each subnet that is tried, and must then speak of the host as it is. What a lease says does
            // not depend on the data plane; whether the kernel has one is asked when it is to be built.
            var facts = host.facts
            facts.kernelPlane = .available
            return try BackendCatalogue.make(config: config, host: facts).attributes(for: key, existing: existing)
        }
    }
}

/// The host's facts as they are, and a signal when its addresses change.
private final class CurrentHost: Sendable {
    private let content: Mutex<(facts: HostFacts, move: AsyncStream<Void>.Continuation?)>

    init(_ facts: HostFacts) { content = Mutex((facts, nil)) }

    var facts: HostFacts { content.withLock { $0.facts } }

    /// Ticks when the addresses change from now on. Only the last stream is served.
    func moves() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        content.withLock { $0.move = continuation }
        return stream
    }

    func replace(with new: HostFacts) {
        content.withLock { content in
            let old = content.facts
            content.facts = new
            let isMove =
                (old.localIPv4, old.localIPv6, old.publicIPv4, old.publicIPv6)
                != (new.localIPv4, new.localIPv6, new.publicIPv4, new.publicIPv6)
            if isMove { content.move?.yield() }
        }
    }
}
