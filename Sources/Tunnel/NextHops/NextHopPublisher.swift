import Synchronization

/// Hands the current table to the loops without a lock, and keeps every table that a loop still reads.
///
/// Each loop has a slot in which it notes the table it is about to read (a hazard pointer): it notes, looks whether that
/// is still the current one, and reads on only then. Whoever swaps the table lets go of the old ones that stand in no slot.
/// A loop holds a table for one batch and none while it waits, so old tables go with the next swap at the latest.
final class NextHopPublisher: Sendable {
    private let current: Atomic<UInt>
    // One for each loop; made by `init`, freed by `deinit`.
    private nonisolated(unsafe) let slots: UnsafeMutablePointer<Atomic<UInt>>
    private let slotCount: Int
    /// Every table that a loop may read: the current one and those before it that are still in a slot.
    private let held: Mutex<[NextHopTable]>

    init(_ table: NextHopTable, loops: Int) {
        current = Atomic(Self.identity(table))
        slotCount = loops
        slots = .allocate(capacity: max(loops, 1))
        for index in 0..<loops { (slots + index).initialize(to: Atomic(0)) }
        held = Mutex([table])
    }

    deinit {
        slots.deinitialize(count: slotCount)
        slots.deallocate()
    }

    private static func identity(_ table: NextHopTable) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(table).toOpaque())
    }

    /// Makes `table` the one that the next batch of each loop reads.
    func publish(_ table: NextHopTable) {
        held.withLock { held in
            held.append(table)
            current.store(Self.identity(table), ordering: .sequentiallyConsistent)
            let read = (0..<slotCount).map { slots[$0].load(ordering: .sequentiallyConsistent) }
            held.removeAll { $0 !== table && !read.contains(Self.identity($0)) }
        }
    }

    /// The number of tables in memory.
    var heldCount: Int { held.withLock { $0.count } }

    /// The current table, safe to read until ``release(_:)`` or the next call for the same slot.
    func acquire(_ slot: Int) -> NextHopView {
        var identity = current.load(ordering: .sequentiallyConsistent)
        while true {
            slots[slot].store(identity, ordering: .sequentiallyConsistent)
            let again = current.load(ordering: .sequentiallyConsistent)
            if again == identity { break }
            identity = again
        }
        // No input reaches this: only `init` and the swap store here, each an object's address.
        guard let pointer = UnsafeRawPointer(bitPattern: identity) else { preconditionFailure("a table is never null") }
        return Unmanaged<NextHopTable>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.view }
    }

    func release(_ slot: Int) { slots[slot].store(0, ordering: .releasing) }
}
