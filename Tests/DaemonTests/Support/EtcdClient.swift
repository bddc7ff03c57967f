import Foundation
import LinuxSystem

/// A few of etcd's requests by its JSON gateway, from inside a namespace.
struct EtcdClient: Sendable {
    let namespace: NetworkNamespace
    let address: String

    struct Record: Sendable {
        var key: String
        var value: [UInt8]
        /// 0: bound to no lease.
        var lease: Int64
        var createRevision: Int64
        var modRevision: Int64
    }

    enum Step: Sendable {
        case put(key: String, value: String)
        case delete(key: String)
    }

    struct Status {
        var member: String
        var leader: String
        var revision: Int64
    }

    /// Whether a key can be read, which takes a leader.
    var answers: Bool { (try? list(prefix: "/")) != nil }

    // MARK: Keys

    func put(_ key: String, _ value: String, lease: Int64 = 0) throws {
        try put(key, Array(value.utf8), lease: lease)
    }

    func put(_ key: String, _ value: [UInt8], lease: Int64 = 0) throws {
        _ = try call("kv/put", ["key": encoded(key), "value": Data(value).base64EncodedString(), "lease": "\(lease)"])
    }

    func delete(_ key: String) throws { _ = try call("kv/deleterange", ["key": encoded(key)]) }

    func get(_ key: String) throws -> Record? { try records(["key": encoded(key)]).first }

    func list(prefix: String) throws -> [Record] {
        var end = Array(prefix.utf8)
        end[end.count - 1] += 1
        return try records(["key": encoded(prefix), "range_end": Data(end).base64EncodedString()])
    }

    /// Sends all steps down one connection without waiting for each answer: as fast as etcd takes them, in order.
    func perform(_ steps: [Step]) throws {
        let connection = try HTTPConnection(namespace: namespace, address: address, port: 2379)
        for chunk in stride(from: 0, to: steps.count, by: 100).map({ steps[$0..<min($0 + 100, steps.count)] }) {
            for step in chunk {
                switch step {
                case .put(let key, let value):
                    try connection.post(
                        "/v3/kv/put", body(["key": encoded(key), "value": Data(value.utf8).base64EncodedString()]))
                case .delete(let key): try connection.post("/v3/kv/deleterange", body(["key": encoded(key)]))
                }
            }
            for _ in chunk { _ = try connection.answer() }
        }
    }

    // MARK: Leases and upkeep

    func grant(seconds: Int) throws -> Int64 {
        integer(try call("lease/grant", ["TTL": "\(seconds)"])["ID"])
    }

    func revoke(_ lease: Int64) throws { _ = try call("lease/revoke", ["ID": "\(lease)"]) }

    /// Forgets all history before the present revision.
    func compact() throws {
        _ = try call("kv/compaction", ["revision": "\(try status().revision)", "physical": true])
    }

    func status() throws -> Status {
        let answer = try call("maintenance/status", [:])
        let header = answer["header"] as? [String: Any]
        return Status(
            member: "\(integer(header?["member_id"]))", leader: "\(integer(answer["leader"]))",
            revision: integer(header?["revision"]))
    }

    // MARK: HTTP

    private func records(_ request: [String: Any]) throws -> [Record] {
        let found = try call("kv/range", request)["kvs"] as? [[String: Any]] ?? []
        return found.map { item in
            Record(
                key: String(decoding: bytes(item["key"]), as: UTF8.self), value: bytes(item["value"]),
                lease: integer(item["lease"]), createRevision: integer(item["create_revision"]),
                modRevision: integer(item["mod_revision"]))
        }
    }

    private func call(_ method: String, _ request: [String: Any]) throws -> [String: Any] {
        let connection = try HTTPConnection(namespace: namespace, address: address, port: 2379)
        try connection.post("/v3/\(method)", body(request))
        let answer = try connection.answer()
        guard answer.status == 200, let object = try JSONSerialization.jsonObject(with: answer.body) as? [String: Any]
        else { throw Failure("etcd refused \(method): \(String(decoding: answer.body, as: UTF8.self))") }
        return object
    }

    private func body(_ request: [String: Any]) throws -> Data { try JSONSerialization.data(withJSONObject: request) }
    private func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
    private func bytes(_ value: Any?) -> [UInt8] { Data(base64Encoded: value as? String ?? "").map(Array.init) ?? [] }
    private func integer(_ value: Any?) -> Int64 {
        (value as? String).map { UInt64($0).map(Int64.init(bitPattern:)) ?? Int64($0) ?? 0 } ?? 0
    }
}
