import Leases
import Synchronization

/// When leases were made that a blind write has made anew since.
///
/// A stock flanneld on v2 writes its key without a comparison when it starts and once a day. For etcd that is a new key
/// with a new created index, and by that alone a host that has run for months would yield to one that claims its
/// address or a part of its subnet. The watch shows what was there before such a write; while the public address stays,
/// the lease keeps the age that it had. What is written while nobody watches counts from that write.
final class V2LeaseAges: Sendable {
    private struct Age {
        /// As etcd has it.
        let created: Int64
        let first: Int64
    }

    private let ages = Mutex<[String: Age]>([:])

    /// A record of a list or of an answer, with its true age.
    func aged(_ record: LeaseRecord) -> LeaseRecord {
        let age = ages.withLock { $0[record.name] }
        guard let age, age.created == record.createRevision else { return record }
        return record.created(at: age.first)
    }

    /// A record that the watch shows, after `previous`.
    func aged(_ record: LeaseRecord, after previous: LeaseRecord?) -> LeaseRecord {
        if let previous, previous.createRevision < record.createRevision, previous.hasPublicAddress(of: record) {
            ages.withLock { ages in
                let known = ages[record.name].flatMap { $0.created == previous.createRevision ? $0.first : nil }
                ages[record.name] = Age(created: record.createRevision, first: known ?? previous.createRevision)
            }
        }
        return aged(record)
    }

    func forget(_ name: String) { ages.withLock { $0[name] = nil } }

    /// Takes a list for all that there is.
    func forgetAll(but records: [LeaseRecord]) {
        ages.withLock { ages in
            guard !ages.isEmpty else { return }
            let names = Set(records.map(\.name))
            ages = ages.filter { names.contains($0.key) }
        }
    }
}

extension LeaseRecord {
    fileprivate func created(at revision: Int64) -> LeaseRecord {
        LeaseRecord(
            name: name, value: value, createRevision: revision, modRevision: modRevision, isReservation: isReservation)
    }

    fileprivate func hasPublicAddress(of other: LeaseRecord) -> Bool {
        if value == other.value { return true }
        guard let ours = try? LeaseCodec.attributes(value), let theirs = try? LeaseCodec.attributes(other.value) else {
            return false
        }
        return ours.publicIP == theirs.publicIP && ours.publicIPv6 == theirs.publicIPv6
    }
}
