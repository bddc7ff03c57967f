import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// A request of etcd's v2 API.
struct V2Request: Sendable {
    let method: HTTPMethod
    /// Percent-encoded, with a slash in front.
    let path: String
    /// Plain text; names need no encoding.
    var query: [(name: String, value: String)] = []
    /// Sent as a form.
    var form: [(name: String, value: [UInt8])] = []

    /// About a key.
    static func key(
        _ method: HTTPMethod, _ key: String, query: [(name: String, value: String)] = [],
        form: [(name: String, value: [UInt8])] = []
    ) -> V2Request {
        V2Request(method: method, path: "/v2/keys\(PercentEncoding.path(key))", query: query, form: form)
    }

    /// Reads a key or a directory's direct children, as the majority of the members knows them.
    static func read(_ key: String) -> V2Request { .key(.GET, key, query: [("quorum", "true")]) }

    /// Waits for a change at `index` or later.
    static func wait(_ key: String, isRecursive: Bool, from index: Int64) -> V2Request {
        var query = [("wait", "true"), ("waitIndex", "\(index)")]
        if isRecursive { query.append(("recursive", "true")) }
        return .key(.GET, key, query: query)
    }

    func http(_ endpoint: EtcdEndpoint, _ credentials: EtcdCredentials?) -> HTTPClientRequest {
        var url = endpoint.description + path
        for (index, item) in query.enumerated() {
            url += "\(index == 0 ? "?" : "&")\(item.name)=\(PercentEncoding.encode(item.value.utf8))"
        }
        var request = HTTPClientRequest(url: url)
        request.method = method
        if let credentials { request.setBasicAuth(username: credentials.user, password: credentials.password) }
        if !form.isEmpty {
            let text = form.map { "\($0.name)=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
            request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            request.body = .bytes(ByteBuffer(string: text))
        }
        return request
    }
}

/// An answer over HTTP.
struct V2Answer: Sendable {
    let status: Int
    /// `X-Etcd-Index`: the store's index when the request was looked at.
    let index: Int64?
    let contentType: String
    let body: [UInt8]

}

extension V2Answer {
    init(_ head: HTTPClientResponse, body: [UInt8]) {
        self.init(
            status: Int(head.status.code), index: head.etcdIndex,
            contentType: head.headers.first(name: "Content-Type") ?? "", body: body)
    }
}

extension HTTPClientResponse {
    var etcdIndex: Int64? { headers.first(name: "X-Etcd-Index").flatMap { Int64($0) } }
}
