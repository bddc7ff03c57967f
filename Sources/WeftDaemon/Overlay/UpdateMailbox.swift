import Leases
import Synchronization

/// Hands registry updates to one reader, merged: whatever comes while the reader is busy is one update.
final class UpdateMailbox: Sendable {
    private let content = Mutex<RegistryUpdate?>(nil)
    private let signal: AsyncStream<Void>.Continuation
    /// Ticks when there is something to take.
    let arrivals: AsyncStream<Void>

    init() { (arrivals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func put(_ update: RegistryUpdate) {
        content.withLock { content in
            if content == nil { content = update } else { content?.merge(update) }
        }
        signal.yield()
    }

    func take() -> RegistryUpdate? {
        content.withLock { content in
            defer { content = nil }
            return content
        }
    }
}
