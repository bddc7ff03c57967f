import Leases
import Synchronization

/// When leases were made that a blind write has made anew since.
///
/// A stock flanneld on v2 writes its key without a comparison when it starts and once a day. For etcd that is a new key
/// with a new created index, and by that alone a host that has run for months would yield to one that claims its
/// address or a part of its subnet. While the public address stays, a lease keeps the least age that was ever known of
/// its key: from the watch, which shows what was there before such a write, and from what was known before a gap in the
/// watch. A key that went and came back in such a gap is taken for the old one. What nobody here knew counts from its
/// last write.
final class V2LeaseAges: Sendable {
    fileprivate struct Known {
        /// As etcd has it.
        let created: Int64
        let first: Int64
        /// Shares its bytes with the list of leases.
        let value: [UInt8]
    }

    fileprivate struct State {
        var known: [String: Known] = [:]
        /// etcd's index at the last list.
        var index: Int64 = 0
    }

    private let state = Mutex(State())

    /// A record of an answer, with its true age.
    func aged(_ record: LeaseRecord) -> LeaseRecord {
        record.created(at: state.withLock { $0.first(of: record) })
    }

    /// A record that the watch shows, after `previous`.
    func aged(_ record: LeaseRecord, after previous: LeaseRecord?) -> LeaseRecord {
        state.withLock { state in
            let last = state.known[record.name]
            // The answer to a write comes before its event.
            let isKnown = last?.created == record.createRevision
            guard let previous, previous.value.hasPublicAddress(of: record.value) else {
                // What is known may be older; the watch misses nothing.
                if !isKnown { state.known[record.name] = nil }
                return
            }
            if isKnown, let last {
                state.known[record.name] = Known(
                    created: last.created, first: min(last.first, previous.createRevision), value: last.value)
            } else {
                _ = state.first(of: previous)
            }
        }
        return aged(record)
    }

    func forget(_ name: String) { state.withLock { $0.known[name] = nil } }

    /// The records of a list, which are all that there are. An index that went back is another etcd's, or a backup's.
    func aged(list records: [LeaseRecord], at index: Int64) -> [LeaseRecord] {
        state.withLock { state in
            if index < state.index { state.known = [:] }
            state.index = index
            let before = state.known
            state.known = [:]
            state.known.reserveCapacity(records.count)
            return records.map { record in
                state.known[record.name] = before[record.name]
                return record.created(at: state.first(of: record))
            }
        }
    }
}

extension V2LeaseAges.State {
    fileprivate mutating func first(of record: LeaseRecord) -> Int64 {
        var first = record.createRevision
        if let last = known[record.name] {
            if last.created == first || last.value.hasPublicAddress(of: record.value) {
                first = min(first, last.first)
            } else if last.created > first {
                // An answer that comes late.
                return first
            }
        }
        known[record.name] = V2LeaseAges.Known(created: record.createRevision, first: first, value: record.value)
        return first
    }
}

extension LeaseRecord {
    fileprivate func created(at revision: Int64) -> LeaseRecord {
        if revision == createRevision { return self }
        return LeaseRecord(
            name: name, value: value, createRevision: revision, modRevision: modRevision, isReservation: isReservation)
    }
}

extension [UInt8] {
    /// Whether two values of leases are of one host.
    fileprivate func hasPublicAddress(of other: [UInt8]) -> Bool {
        if self == other { return true }
        guard let ours = try? LeaseCodec.attributes(self), let theirs = try? LeaseCodec.attributes(other) else {
            return false
        }
        return ours.publicIP == theirs.publicIP && ours.publicIPv6 == theirs.publicIPv6
    }
}
