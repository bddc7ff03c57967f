import IPNetwork

/// Address ranges that do not overlap, each with a number: nested prefixes flattened so that the longest match is the one
/// range that holds an address. Immutable memory of its own, given back by ``deallocate()``.
struct RangeMap<Key: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    private struct Range {
        var first: Key
        var last: Key
        var value: UInt32
    }

    // Written by `init` alone, before the table is shared.
    private nonisolated(unsafe) let ranges: UnsafeMutablePointer<Range>
    private let count: Int

    /// Of two equal prefixes the later one counts.
    init<Address: NetworkAddress>(_ entries: [(prefix: Prefix<Address>, value: UInt32)])
    where Address.RawValue == Key {
        let flat = Self.flatten(entries)
        count = flat.count
        ranges = .allocate(capacity: max(count, 1))
        ranges.initialize(from: flat, count: count)
    }

    func deallocate() { ranges.deallocate() }

    /// The number of the range that holds `key`, or `nil`.
    @inline(__always) func lookUp(_ key: Key) -> UInt32? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) &>> 1
            if ranges[middle].last < key { low = middle &+ 1 } else { high = middle }
        }
        guard low < count, ranges[low].first <= key else { return nil }
        return ranges[low].value
    }

    /// Sweeps the prefixes by address, outer before inner, with a stack of those that are open.
    private static func flatten<Address: NetworkAddress>(
        _ entries: [(prefix: Prefix<Address>, value: UInt32)]
    ) -> [Range] where Address.RawValue == Key {
        var latest: [Prefix<Address>: UInt32] = [:]
        for entry in entries { latest[entry.prefix] = entry.value }
        var flat: [Range] = []
        var open: [(last: Key, value: UInt32)] = []
        /// The first address that no range covers yet; `nil` past the end of the address space.
        var position: Key? = 0

        func close(before first: Key?) {
            while let top = open.last, first.map({ top.last < $0 }) ?? true {
                if let start = position, start <= top.last {
                    flat.append(Range(first: start, last: top.last, value: top.value))
                    position = top.last == Key.max ? nil : top.last + 1
                }
                open.removeLast()
            }
        }
        for prefix in latest.keys.sorted() {
            let first = prefix.address.rawValue
            close(before: first)
            if let top = open.last, let start = position, start < first {
                flat.append(Range(first: start, last: first - 1, value: top.value))
            }
            position = first
            open.append((prefix.lastAddress.rawValue, latest[prefix] ?? 0))
        }
        close(before: nil)
        return flat
    }
}
