import IPNetwork
import LinuxSystem
import Netlink
import Synchronization

/// Collects the changes of a host's network state.
final class KernelEvents: Sendable {
    private let events = Mutex<[NetlinkEvent]>([])
    private let task: Mutex<Task<Void, Never>?>

    init(_ host: LabHost) throws {
        task = Mutex(nil)
        let monitor = try NetlinkMonitor(namespace: host.networkNamespace, limit: 1 << 20, receiveBuffer: 16 << 20)
        task.withLock {
            $0 = Task { [weak self] in
                for await event in monitor { self?.events.withLock { $0.append(event) } }
            }
        }
    }

    deinit { task.withLock { $0?.cancel() } }

    /// Everything so far but the kernel's own learning of neighbours and what the container's bridge does. A link is made
    /// and removed to know that what came before it has arrived.
    func all(_ host: LabHost) async throws -> [NetlinkEvent] {
        try host.ip("link add wd-mark type bridge")
        try await eventually("the events have arrived") {
            self.events.withLock { $0.contains { self.isMark($0) } }
        }
        let others = Set(
            try host.kernel.links().filter { ["docker0", "cv", "wd-mark"].contains($0.name.text) }.map(\.index))
        try host.ip("link del wd-mark")
        return events.withLock { $0.prefix { !isMark($0) }.filter { !isLearning($0) && !isAbout(others, $0) } }
    }

    /// A bridge and its ports settle for a while after they were made.
    private func isAbout(_ links: Set<Int32>, _ event: NetlinkEvent) -> Bool {
        switch event {
        case .linkChanged(let link): links.contains(link.index)
        case .forwardingEntryChanged(let entry), .forwardingEntryRemoved(let entry): links.contains(entry.interface)
        default: false
        }
    }

    private func isMark(_ event: NetlinkEvent) -> Bool {
        if case .linkChanged(let link) = event { link.name.text == "wd-mark" } else { false }
    }

    private func isLearning(_ event: NetlinkEvent) -> Bool {
        switch event {
        case .neighbourChanged(let neighbour), .neighbourRemoved(let neighbour):
            !neighbour.state.contains(.permanent)
        case .forwardingEntryChanged(let entry), .forwardingEntryRemoved(let entry): !entry.state.contains(.permanent)
        // Duplicate address detection of an interface that came up.
        case .addressChanged(let address): address.address.v6?.isLinkLocal ?? false
        case .routeChanged(let route): route.proto == .kernel && route.destination.isIPv6
        default: false
        }
    }
}
