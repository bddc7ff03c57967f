import Leases

/// A key or directory of etcd's v2 store.
struct V2Node: Equatable, Sendable {
    var key: String
    /// `nil` for a directory, and for a key that is deleted.
    var value: String?
    var isDirectory = false
    /// Whether it will expire.
    var hasTimeToLive = false
    /// What is left of its time to live, in seconds rounded up.
    var secondsLeft: Int64?
    /// Changes with every blind write, stays with one that compares.
    var createdIndex: Int64
    var modifiedIndex: Int64
    /// What is in a directory that was listed.
    var nodes: [V2Node] = []
}

/// What became of a key: the answer to a request, and what a watch tells.
struct V2Event: Equatable, Sendable {
    /// `get`, `set`, `create`, `update`, `delete`, `expire`, `compareAndSwap` or `compareAndDelete`.
    let action: String
    var node: V2Node
    /// What was there before.
    let previous: V2Node?

    var isRemoval: Bool { action == "delete" || action == "expire" || action == "compareAndDelete" }
}

/// etcd's own error, whatever the HTTP status.
struct V2Failure: Equatable, Sendable {
    /// etcd's `error/error.go`.
    let code: Int
    let message: String
    let cause: String

    static let keyNotFound = 100
    static let compareFailed = 101
    static let notAFile = 102
    static let notADirectory = 104
    static let keyExists = 105
    static let needsAuthentication = 110
    static let raftInternal = 300
    static let leaderElection = 301
    static let watcherCleared = 400
    static let eventIndexCleared = 401

    var text: String { cause.isEmpty ? message : "\(message): \(cause)" }
}

/// An answer's body.
enum V2Body: Equatable, Sendable {
    case event(V2Event)
    case failure(V2Failure)
}

/// Why an answer is not one of etcd's.
struct V2MalformedAnswer: Error, Equatable, Sendable {
    let reason: String
}

extension V2Body {
    /// Reads the JSON of an answer. Unknown fields are ignored.
    init(parsing bytes: [UInt8]) throws(V2MalformedAnswer) {
        let root = try JSONValue(answer: bytes)
        if let code = root["errorCode"] {
            guard let number = code.integer else { throw V2MalformedAnswer(reason: "errorCode is \(code.excerpt)") }
            self = .failure(
                V2Failure(
                    code: Int(clamping: number), message: root["message"]?.text ?? "", cause: root["cause"]?.text ?? ""
                ))
            return
        }
        guard case .string(let action)? = root["action"], let node = root["node"] else {
            throw V2MalformedAnswer(reason: "neither an error nor an action with a node: \(root.excerpt)")
        }
        let previous = root["prevNode"].flatMap { $0 == .null ? nil : $0 }
        self = .event(
            V2Event(
                action: action, node: try V2Node(node),
                previous: try previous.map { json throws(V2MalformedAnswer) in try V2Node(json) }))
    }
}

extension V2Node {
    fileprivate init(_ json: JSONValue) throws(V2MalformedAnswer) {
        guard case .object(let members) = json else { throw V2MalformedAnswer(reason: "a node is \(json.excerpt)") }
        self.init(key: "", createdIndex: 0, modifiedIndex: 0)
        // One pass over the members: a list has thousands of nodes.
        for member in members {
            switch member.name {
            case "key": key = try member.string()
            case "value": value = try member.string()
            case "dir": isDirectory = member.value == .bool(true)
            case "ttl", "expiration":
                hasTimeToLive = hasTimeToLive || member.value != .null
                if member.name == "ttl" { secondsLeft = member.value.integer }
            case "createdIndex": createdIndex = try member.index()
            case "modifiedIndex": modifiedIndex = try member.index()
            case "nodes":
                guard case .array(let elements) = member.value else {
                    throw V2MalformedAnswer(reason: "nodes is \(member.value.excerpt)")
                }
                nodes.reserveCapacity(elements.count)
                for element in elements { nodes.append(try V2Node(element)) }
            default: break
            }
        }
    }
}

extension JSONValue {
    /// The whole body of an answer; what lists it is bounded by the reader of the body.
    init(answer bytes: [UInt8]) throws(V2MalformedAnswer) {
        do throws(JSONError) {
            self = try JSONValue(parsing: bytes, sizeLimit: bytes.count)
        } catch {
            throw V2MalformedAnswer(reason: "not JSON (\(error))")
        }
    }

    var integer: Int64? {
        guard case .number(let text) = self else { return nil }
        return Int64(text)
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }
}

extension JSONValue.Member {
    fileprivate func string() throws(V2MalformedAnswer) -> String {
        guard let text = value.text else { throw V2MalformedAnswer(reason: "\(name) is \(value.excerpt)") }
        return text
    }

    fileprivate func index() throws(V2MalformedAnswer) -> Int64 {
        guard let number = value.integer, number >= 0 else {
            throw V2MalformedAnswer(reason: "\(name) is \(value.excerpt)")
        }
        return number
    }
}
