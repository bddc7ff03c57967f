import Synchronization

/// The counters of one loop. The loop alone adds; anybody may read at any time.
struct CounterBlock: Sendable {
    enum Field: Int, CaseIterable {
        case sentPackets, sentBytes, sentMessages, receivedPackets, receivedBytes, receivedMessages, tunWrites
        case icmpSent, icmpLimited
    }

    private static let fields = 9
    private static let count = fields + DropReason.allCases.count
    // Atomics in memory that `deallocate` gives back once the loop has ended: shared on purpose.
    private nonisolated(unsafe) let values: UnsafeMutablePointer<Atomic<UInt64>>

    init() {
        values = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (values + index).initialize(to: Atomic(0)) }
    }

    func deallocate() {
        values.deinitialize(count: Self.count)
        values.deallocate()
    }

    // One writer, so a load and a store do; the compiler makes them plain moves.
    @inline(__always) private func add(_ index: Int, _ amount: UInt64) {
        let value = values[index].load(ordering: .relaxed)
        values[index].store(value &+ amount, ordering: .relaxed)
    }

    @inline(__always) func add(_ field: Field, _ amount: Int) {
        add(field.rawValue, UInt64(truncatingIfNeeded: amount))
    }

    @inline(__always) func drop(_ reason: DropReason, _ amount: Int = 1) {
        add(Self.fields &+ reason.rawValue, UInt64(truncatingIfNeeded: amount))
    }

    func dropped(_ reason: DropReason) -> UInt64 {
        values[Self.fields &+ reason.rawValue].load(ordering: .relaxed)
    }

    func addTo(_ total: inout TunnelCounters) {
        func value(_ field: Field) -> UInt64 { values[field.rawValue].load(ordering: .relaxed) }
        total.sentPackets &+= value(.sentPackets)
        total.sentBytes &+= value(.sentBytes)
        total.sentMessages &+= value(.sentMessages)
        total.receivedPackets &+= value(.receivedPackets)
        total.receivedBytes &+= value(.receivedBytes)
        total.receivedMessages &+= value(.receivedMessages)
        total.tunWrites &+= value(.tunWrites)
        total.icmpSent &+= value(.icmpSent)
        total.icmpLimited &+= value(.icmpLimited)
        for reason in DropReason.allCases {
            let dropped = dropped(reason)
            if dropped > 0 { total.dropped[reason, default: 0] &+= dropped }
        }
    }
}
