import Backends
import Leases
import Synchronization

/// Hands what the registry and the host say to one reader, merged: whatever comes while the reader is busy is one
/// delivery. One reader, so that no two things happen to the overlay at a time.
final class UpdateMailbox: Sendable {
    struct Delivery: Sendable {
        var update: RegistryUpdate?
        var facts: HostFacts?
        /// What was refused is to be tried again.
        var isRetry = false
    }

    private let content = Mutex(Delivery())
    private let signal: AsyncStream<Void>.Continuation
    /// Ticks when there is something to take.
    let arrivals: AsyncStream<Void>

    init() { (arrivals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func put(_ update: RegistryUpdate) {
        content.withLock { content in
            if content.update == nil { content.update = update } else { content.update?.merge(update) }
        }
        signal.yield()
    }

    func put(_ facts: HostFacts) {
        content.withLock { $0.facts = facts }
        signal.yield()
    }

    func putRetry() {
        content.withLock { $0.isRetry = true }
        signal.yield()
    }

    func take() -> Delivery {
        content.withLock { content in
            defer { content = Delivery() }
            return content
        }
    }
}
