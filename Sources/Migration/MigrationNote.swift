import EtcdRegistry
import Leases

/// What was known of a key when it was last in step: the side that its value came from, and its revision on both. Whatever
/// was written since has another revision, so that a copy is told from what a daemon wrote; the values stay as daemons
/// write them.
struct MigrationNote: Hashable, Sendable {
    /// The side on which a daemon, or an operator, wrote last.
    var origin: MigrationSide
    /// 0 when it was not there.
    var v2: Int64
    /// 0 when it was not there.
    var v3: Int64

    init(origin: MigrationSide, v2: Int64, v3: Int64) {
        self.origin = origin
        self.v2 = v2
        self.v3 = v3
    }

    subscript(side: MigrationSide) -> Int64 { side == .v2 ? v2 : v3 }
}

/// A copy to v2 that is about to be made. v2 has no transactions: this is written first, so that the copy is known for
/// one, whatever ends before it is noted, the run or the copied lease.
struct AnnouncedCopy: Hashable, Sendable {
    /// The original's revision on v3.
    let v3: Int64
    /// v2's revision before; 0 when it was not there.
    let v2: Int64
    private let digest: UInt64

    init(_ value: [UInt8], v3: Int64, v2: Int64) {
        self.init(v3: v3, v2: v2, digest: Self.digest(value))
    }

    fileprivate init(v3: Int64, v2: Int64, digest: UInt64) {
        self.v3 = v3
        self.v2 = v2
        self.digest = digest
    }

    /// Whether this is what came of it. A daemon may have written the same bytes.
    func matches(_ entry: MigrationEntry) -> Bool {
        entry.revision > v2 && Self.digest(entry.value) == digest
    }

    /// FNV-1a. Whoever could bring about a false match may write the key itself.
    private static func digest(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// A note as it is stored.
struct StoredNote: Hashable, Sendable {
    /// `nil` when the key was never in step, or somebody put something else there.
    var agreed: MigrationNote?
    var announced: AnnouncedCopy?

    init(_ agreed: MigrationNote?, announced: AnnouncedCopy? = nil) {
        self.agreed = agreed
        self.announced = announced
    }

    init(_ entry: MigrationEntry) {
        guard let root = try? JSONValue(parsing: entry.value, sizeLimit: 1024) else { return }
        if case .string(let from)? = root["from"], let origin = MigrationSide(rawValue: from),
            let v2 = root["v2"]?.integer
        {
            agreed = MigrationNote(origin: origin, v2: v2, v3: root["v3"]?.integer ?? entry.revision)
        }
        if let copy = root["copy"], let v2 = copy["v2"]?.integer, let v3 = copy["v3"]?.integer,
            case .string(let text)? = copy["digest"], let digest = UInt64(text, radix: 16)
        {
            announced = AnnouncedCopy(v3: v3, v2: v2, digest: digest)
        }
    }

    /// - Parameter isWithKey: The key on v3 is written in the same transaction, so that its revision is the note's own.
    func text(isWithKey: Bool) -> [UInt8] {
        var members: [JSONValue.Member] = []
        if let agreed {
            members += [
                JSONValue.Member("from", .string(agreed.origin.rawValue)),
                JSONValue.Member("v2", .number("\(agreed.v2)")),
            ]
            if !isWithKey { members.append(JSONValue.Member("v3", .number("\(agreed.v3)"))) }
        }
        if let announced { members.append(JSONValue.Member("copy", announced.json)) }
        return JSONValue.object(members).serialised
    }
}

extension AnnouncedCopy {
    fileprivate var json: JSONValue {
        .object([
            JSONValue.Member("v2", .number("\(v2)")), JSONValue.Member("v3", .number("\(v3)")),
            JSONValue.Member("digest", .string(String(digest, radix: 16))),
        ])
    }
}

extension JSONValue {
    fileprivate var integer: Int64? {
        guard case .number(let text) = self else { return nil }
        return Int64(text)
    }
}
