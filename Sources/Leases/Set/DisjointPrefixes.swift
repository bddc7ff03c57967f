import IPNetwork

/// Prefixes of which no two overlap, each with the slot of its lease; sorted, in chunks, so that a change moves few of
/// them.
struct DisjointPrefixes<Address: NetworkAddress> {
    private struct Element {
        let prefix: Prefix<Address>
        let slot: Int
    }

    /// Never holds an empty chunk.
    private var chunks: [[Element]] = []
    private static var chunkLimit: Int { 256 }

    /// The slots of the prefixes that have an address in common with `prefix`.
    func overlapping(_ prefix: Prefix<Address>) -> [Int] {
        guard var position = lastPosition(atOrBefore: prefix.lastAddress) else { return [] }
        var slots: [Int] = []
        // They are disjoint and sorted, so once one ends before `prefix` all the lower ones do.
        while chunks[position.chunk][position.index].prefix.overlaps(prefix) {
            slots.append(chunks[position.chunk][position.index].slot)
            if position.index > 0 {
                position.index -= 1
            } else if position.chunk > 0 {
                position.chunk -= 1
                position.index = chunks[position.chunk].count - 1
            } else {
                break
            }
        }
        return slots
    }

    /// `prefix` must overlap none that is here.
    mutating func insert(_ prefix: Prefix<Address>, slot: Int) {
        let element = Element(prefix: prefix, slot: slot)
        guard let position = lastPosition(atOrBefore: prefix.address) else {
            if chunks.isEmpty { chunks.append([element]) } else { chunks[0].insert(element, at: 0) }
            split(0)
            return
        }
        chunks[position.chunk].insert(element, at: position.index + 1)
        split(position.chunk)
    }

    mutating func remove(_ prefix: Prefix<Address>) {
        guard
            let position = lastPosition(atOrBefore: prefix.address),
            chunks[position.chunk][position.index].prefix == prefix
        else { return }
        chunks[position.chunk].remove(at: position.index)
        if chunks[position.chunk].isEmpty { chunks.remove(at: position.chunk) }
    }

    private mutating func split(_ chunk: Int) {
        let count = chunks[chunk].count
        guard count > Self.chunkLimit else { return }
        let upper = Array(chunks[chunk][(count / 2)...])
        chunks[chunk].removeSubrange((count / 2)...)
        chunks.insert(upper, at: chunk + 1)
    }

    private func lastPosition(atOrBefore address: Address) -> (chunk: Int, index: Int)? {
        let chunk = Self.partition(chunks.count) { chunks[$0][0].prefix.address <= address } - 1
        guard chunk >= 0 else { return nil }
        return (chunk, Self.partition(chunks[chunk].count) { chunks[chunk][$0].prefix.address <= address } - 1)
    }

    /// The first index for which `isBefore` is false, all indices with true being before it.
    private static func partition(_ count: Int, isBefore: (Int) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
