import AsyncHTTPClient
import NIOCore
import NIOSSL

extension StoreError {
    /// What it means that no answer came.
    init(http error: any Error, at endpoint: EtcdEndpoint, _ subject: RequestSubject) {
        if let error = error as? StoreError {
            self = error
            return
        }
        if error is CancellationError || Task.isCancelled {
            self = .cancelled
            return
        }
        let what = "\(endpoint): \(subject.text): "
        switch error {
        case is TimeLimitPassed:
            self.init(
                .timedOut, cause: what + "no answer in time",
                remedy:
                    "check that the address is right, that no firewall drops packets to it, and that most etcd members are up"
            )
        case is NIOTooManyBytesError:
            self.init(
                .tooLarge, cause: "\(what)the answer is larger than \(V2Session.maxAnswerBytes >> 20) MiB",
                remedy: "delete what is no lease under \(subject.prefix)")
        default:
            let reason = (error as? HTTPClientError)?.shortDescription ?? Self.innermostText(error)
            let isClosed = (error as? HTTPClientError) == .remoteConnectionClosed
            self.init(
                .unavailable, cause: what + reason,
                remedy: isClosed ? Self.closedRemedy(endpoint) : Self.remedy(reason, endpoint))
        }
    }

    private static func closedRemedy(_ endpoint: EtcdEndpoint) -> String {
        endpoint.usesTLS
            ? "does it want etcd-certfile and etcd-keyfile? See its log"
            : "see its log; if it is served with TLS, use https://"
    }

    /// An answer that no etcd gives.
    init(foreign answer: V2Answer, _ error: V2MalformedAnswer, at endpoint: EtcdEndpoint, _ subject: RequestSubject) {
        let what = "\(endpoint): \(subject.text): "
        let text = String(decoding: answer.body.prefix(4_096), as: UTF8.self)
        let isJSON = answer.contentType.lowercased().hasPrefix("application/json")
        switch answer.status {
        case 400 where text.contains("HTTPS server"):
            self.init(
                .unavailable, cause: what + "the server speaks TLS", remedy: "write the endpoint with https://")
        case 404 where !isJSON:
            self.init(
                .unsupported, cause: what + "the server does not speak etcd's v2 API",
                remedy: "start etcd with --enable-v2 (up to etcd 3.5), or use --etcd-api v3")
        case 500...:
            self.init(
                .unavailable, cause: "\(what)HTTP status \(answer.status), \(Self.excerpt(text))",
                remedy: "see etcd's log, and that of a proxy in front of it")
        case 200 where isJSON || answer.contentType.isEmpty:
            // Cut short or garbled on its way.
            self.init(.unavailable, cause: "\(what)the answer can't be read: \(error.reason.prefix(200))")
        default:
            self.init(
                .unsupported,
                cause: "\(what)not an answer of etcd: HTTP status \(answer.status), \(Self.excerpt(text))",
                remedy: "is \(endpoint) an etcd, or a proxy that answers by itself?")
        }
    }

    private static func excerpt(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return line.isEmpty ? "no text" : "\"\(line.prefix(80))\""
    }

    /// What an error of etcd's means.
    ///
    /// - Parameter isKnown: The user could read before, so that it is not its name or password.
    init(
        _ failure: V2Failure, at endpoint: EtcdEndpoint, _ subject: RequestSubject, user: String?, isKnown: Bool
    ) {
        let what = "\(endpoint): \(subject.text): "
        switch failure.code {
        case V2Failure.eventIndexCleared:
            self.init(.compacted, cause: what + "the index is no longer in the history")
        case V2Failure.raftInternal where failure.cause.contains("timed out"):
            self.init(
                .noLeader, cause: what + "etcd could not reach a majority of its members in time",
                remedy: Self.membersRemedy)
        case V2Failure.raftInternal, V2Failure.leaderElection:
            self = .noLeader(at: endpoint, subject)
        case V2Failure.watcherCleared:
            self.init(.unavailable, cause: what + failure.text)
        case V2Failure.needsAuthentication where isKnown && subject.writes:
            self.init(
                .permissionDenied,
                cause: "\(what)\(user.map { "user \($0)" } ?? "a guest") may not write \(subject.key)",
                remedy:
                    "give a role of the user the right with: etcdctl role grant ROLE --readwrite --path '\(subject.prefix)*'"
            )
        case V2Failure.needsAuthentication where user == nil:
            self.init(
                .unauthenticated, cause: what + "etcd wants a user and a password",
                remedy: "set etcd-username and etcd-password")
        case V2Failure.needsAuthentication:
            // etcd says the same to all three.
            self.init(
                .unauthenticated,
                cause: "\(what)wrong password, no user \(user ?? ""), or no right to "
                    + "\(subject.writes ? "write" : "read") \(subject.key)",
                remedy: "check etcd-username and etcd-password, and the user's roles")
        case V2Failure.notADirectory:
            self.init(
                .refused, cause: "\(what)a part of the path is a key and not a directory (\(failure.cause))",
                remedy: "delete that key, or choose another etcd-prefix")
        default:
            self.init(.refused, cause: "\(what)\(failure.text) (error \(failure.code))")
        }
    }

    static func noLeader(at endpoint: EtcdEndpoint, _ subject: RequestSubject) -> StoreError {
        StoreError(
            .noLeader, cause: "\(endpoint): \(subject.text): this member has no leader", remedy: membersRemedy)
    }

    private static let membersRemedy =
        "check etcd with: etcdctl cluster-health; more than half of the members have to be up"
}
