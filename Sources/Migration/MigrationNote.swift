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

    /// `nil` when somebody put something else there.
    init?(_ entry: MigrationEntry) {
        guard
            let root = try? JSONValue(parsing: entry.value, sizeLimit: 1024),
            case .string(let from)? = root["from"], let origin = MigrationSide(rawValue: from),
            let v2 = root["v2"]?.integer
        else { return nil }
        self.init(origin: origin, v2: v2, v3: root["v3"]?.integer ?? entry.revision)
    }

    /// - Parameter isWithKey: The key on v3 is written in the same transaction, so that its revision is the note's own.
    func text(isWithKey: Bool) -> [UInt8] {
        var members = [
            JSONValue.Member("from", .string(origin.rawValue)), JSONValue.Member("v2", .number("\(v2)")),
        ]
        if !isWithKey { members.append(JSONValue.Member("v3", .number("\(v3)"))) }
        return JSONValue.object(members).serialised
    }

    subscript(side: MigrationSide) -> Int64 { side == .v2 ? v2 : v3 }
}

extension JSONValue {
    fileprivate var integer: Int64? {
        guard case .number(let text) = self else { return nil }
        return Int64(text)
    }
}
