import AsyncHTTPClient
import Glibc
import Leases
import NIOCore
import Synchronization

/// Requests to one etcd member over its v2 API.
final class V2Session: SubnetSession {
    let store: V2SubnetStore
    let endpoint: EtcdEndpoint
    let client: HTTPClient
    let keys: V2Keys
    /// The last list: the index of its leases, which is its revision, and that of its config, read at another instant.
    let lastList = Mutex<(leases: Int64, config: Int64)?>(nil)
    /// The user could read in this session, so that it is known to etcd.
    private let hasRead = Mutex(false)
    private let hasCheckedUser = Mutex(false)
    /// Whether every member can start a time to live afresh without touching the value; asked for once.
    private let canRefresh = Mutex<Bool?>(nil)

    init(store: V2SubnetStore, endpoint: EtcdEndpoint, client: HTTPClient) {
        self.store = store
        self.endpoint = endpoint
        self.client = client
        keys = V2Keys(prefix: store.configuration.prefix)
    }

    /// The largest answer that is taken. A lease is about 350 bytes of an answer, and v2 can't cut a list into pages.
    static let maxAnswerBytes = 64 << 20

    /// Sends a request and reads the whole answer, within the time that a request may take.
    func send(_ request: V2Request, _ subject: RequestSubject) async throws(StoreError) -> V2Answer {
        let http = request.http(endpoint, store.configuration.credentials)
        do {
            return try await withTimeLimit(store.configuration.requestTimeout) { [client] in
                let head = try await client.answer(http)
                return V2Answer(head, body: try await head.body.bytes(upTo: Self.maxAnswerBytes))
            }
        } catch {
            throw StoreError(http: error, at: endpoint, subject)
        }
    }

    /// Sends a request about a key.
    ///
    /// - Returns: What etcd did, or the error of its own that is in `expected`.
    func call(
        _ request: V2Request, _ subject: RequestSubject, expecting expected: Set<Int> = []
    ) async throws(StoreError) -> (body: V2Body, index: Int64) {
        let answer = try await send(request, subject)
        return try read(answer, subject, expecting: expected)
    }

    /// Tells etcd's answers from everything else that may come over HTTP.
    func read(
        _ answer: V2Answer, _ subject: RequestSubject, expecting expected: Set<Int>
    ) throws(StoreError) -> (body: V2Body, index: Int64) {
        let body: V2Body
        do {
            body = try V2Body(parsing: answer.body)
        } catch {
            throw StoreError(foreign: answer, error, at: endpoint, subject)
        }
        if case .failure(let failure) = body, !expected.contains(failure.code) {
            throw StoreError(
                failure, at: endpoint, subject, user: store.configuration.credentials?.user,
                isKnown: hasRead.withLock { $0 })
        }
        guard let index = answer.index else {
            throw StoreError(
                .unsupported, cause: "\(endpoint): \(subject.text): the answer has no X-Etcd-Index",
                remedy: "a proxy in front of etcd has to pass on its headers")
        }
        if !subject.writes { hasRead.withLock { $0 = true } }
        return (body, index)
    }
}

// What kind of etcd it is.
extension V2Session {
    /// The version that all members have at least; `nil` when etcd does not say.
    func version() async throws(StoreError) -> EtcdVersion? {
        let answer = try await send(
            V2Request(method: .GET, path: "/version"), RequestSubject("ask for etcd's version", key: ""))
        return EtcdVersion(answer: answer.body)
    }

    /// Whether every member knows `refresh`; an older one would write an empty value.
    func knowsRefresh() async throws(StoreError) -> Bool {
        if let known = canRefresh.withLock({ $0 }) { return known }
        let knows = try await version().map { $0 >= EtcdVersion(major: 2, minor: 3) } ?? false
        canRefresh.withLock { $0 = knows }
        return knows
    }

    /// etcd takes no notice of a user while its authentication is off.
    func checkUser() async {
        guard let user = store.configuration.credentials?.user, !hasCheckedUser.withLock({ $0 }) else { return }
        hasCheckedUser.withLock { $0 = true }
        let request = V2Request(method: .GET, path: "/v2/auth/enable")
        guard let answer = try? await send(request, RequestSubject("ask for authentication", key: "")),
            let json = try? JSONValue(answer: answer.body), json["enabled"] == .bool(false)
        else { return }
        store.ignoredUser.say(user, at: endpoint, to: store.logger)
    }

    /// Reads the list of members, now and then. It is for a rainy day, so that no failure is worth a word.
    func refreshMembers() async {
        guard store.claimMemberRefresh() else { return }
        let request = V2Request(method: .GET, path: "/v2/members")
        guard let answer = try? await send(request, RequestSubject("list members", key: "")),
            answer.status == 200, let urls = try? EtcdMembers.clientURLs(answer.body)
        else { return }
        store.takeMembers(urls)
    }
}

extension HTTPClient {
    /// Sends a request, however long its answer takes.
    ///
    /// A server, or a proxy or firewall before it, may close a kept connection at the moment at which it is used again.
    /// A request that changes nothing goes out once more then.
    func answer(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        do {
            return try await execute(request, deadline: .distantFuture)
        } catch  where request.method == .GET && Self.isEndOfConnection(error) {
            return try await execute(request, deadline: .distantFuture)
        }
    }

    /// Whether a connection that was there came to its end, rather than that none could be made.
    private static func isEndOfConnection(_ error: any Error) -> Bool {
        switch error {
        case let error as HTTPClientError: error == .remoteConnectionClosed
        case let error as IOError: error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
        case let error as ChannelError: error == .ioOnClosedChannel || error == .outputClosed || error == .eof
        default: false
        }
    }
}

extension HTTPClientResponse.Body {
    /// - Throws: `NIOTooManyBytesError`, and what the connection ends with.
    func bytes(upTo limit: Int) async throws -> [UInt8] {
        let buffer = try await collect(upTo: limit)
        return Array(buffer.readableBytesView)
    }
}

/// Something took longer than it may.
struct TimeLimitPassed: Error {}

/// Runs `body`, and cancels it when it takes longer than `limit`.
///
/// - Throws: ``TimeLimitPassed`` then, and what `body` throws.
func withTimeLimit<Answer: Sendable>(
    _ limit: Duration, _ body: @escaping @Sendable () async throws -> Answer
) async throws -> Answer {
    try await withThrowingTaskGroup(of: Answer?.self) { group in
        defer { group.cancelAll() }
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        guard let first = try await group.next(), let answer = first else { throw TimeLimitPassed() }
        return answer
    }
}
