/// A lease's rank among conflicting ones: the key that was created first stays, of two created in one transaction the
/// one with the lower name.
struct LeaseRank: Comparable {
    let createRevision: Int64
    let name: String
    let slot: Int

    static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.createRevision != rhs.createRevision ? lhs.createRevision < rhs.createRevision : lhs.name < rhs.name
    }
}

/// Leases that wait to be judged, the strongest first (a binary heap).
struct LeaseQueue {
    private var heap: [LeaseRank] = []

    mutating func push(_ rank: LeaseRank) {
        heap.append(rank)
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> LeaseRank? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            guard least != parent else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
