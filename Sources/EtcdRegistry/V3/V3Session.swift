import EtcdAPI
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Leases
import Synchronization

/// A connection to one etcd member.
final class V3Session: SubnetSession {
    typealias Transport = HTTP2ClientTransport.Posix

    let store: V3SubnetStore
    let endpoint: EtcdEndpoint
    let client: GRPCClient<Transport>
    let keys: V3Keys
    private let token = Mutex<String?>(nil)

    init(store: V3SubnetStore, endpoint: EtcdEndpoint, client: GRPCClient<Transport>) {
        self.store = store
        self.endpoint = endpoint
        self.client = client
        keys = V3Keys(prefix: store.configuration.prefix)
    }

    /// The largest answer that is taken: etcd's own limit on a value is 1.5 MB, and lists are cut into pages.
    static let maxAnswerBytes = 16 << 20

    /// etcd answers a member's clients with an error when it has no leader, instead of with silence.
    var metadata: Metadata {
        var metadata: Metadata = ["hasleader": "true"]
        if let token = token.withLock({ $0 }) { metadata.addString(token, forKey: "token") }
        return metadata
    }

    var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = store.configuration.requestTimeout
        options.maxResponseMessageBytes = Self.maxAnswerBytes
        // grpc-swift-nio-transport 2.9 limits answers by this one.
        options.maxRequestMessageBytes = Self.maxAnswerBytes
        return options
    }

    /// Runs a request; with a user, logs in again once when the token is no longer good (etcd forgets it after five
    /// idle minutes or a restart).
    ///
    /// - Parameter subject: what is done and to which key, for the error.
    func call<Answer: Sendable>(
        _ subject: RequestSubject, _ body: (Metadata, CallOptions) async throws -> Answer
    ) async throws(StoreError) -> Answer {
        var mayLogIn = store.configuration.credentials != nil
        while true {
            do {
                return try await body(metadata, options)
            } catch {
                let failure = StoreError(error, at: endpoint, subject, user: store.configuration.credentials?.user)
                guard failure.kind == .unauthenticated, mayLogIn else { throw failure }
                mayLogIn = false
                try await logIn()
            }
        }
    }

    /// Gets a token, if a user is configured.
    func logIn() async throws(StoreError) {
        guard let credentials = store.configuration.credentials else { return }
        let request = EtcdAuthenticateRequest.with {
            $0.name = credentials.user
            $0.password = credentials.password
        }
        do {
            let answer = try await EtcdAuth.Client(wrapping: client).authenticate(
                request, metadata: ["hasleader": "true"], options: options)
            token.withLock { $0 = answer.token }
        } catch let error as RPCError where error.message.contains("authentication is not enabled") {
            token.withLock { $0 = nil }
            store.ignoredUser.say(credentials.user, at: endpoint, to: store.logger)
        } catch {
            throw StoreError(error, at: endpoint, RequestSubject("log in", key: ""), user: credentials.user)
        }
    }
}

/// The keys of one network.
struct V3Keys: Sendable {
    let config: String
    /// Ends in a slash.
    let subnets: String

    init(prefix: String) {
        config = "\(prefix)/config"
        subnets = "\(prefix)/subnets/"
    }

    func subnet(_ name: String) -> Data { Data("\(subnets)\(name)".utf8) }
    /// The end of the range that starts at ``subnets``.
    var subnetsEnd: Data { Data(subnets.utf8.dropLast()) + [UInt8(ascii: "/") + 1] }

    /// A key's last part, whatever bytes are there.
    func name(_ key: Data) -> String {
        String(decoding: key.dropFirst(subnets.utf8.count), as: UTF8.self)
    }

    /// Of a value over the limit just enough is kept for it to be refused: thousands of megabytes may lie there.
    func record(_ pair: EtcdKeyValue) -> LeaseRecord {
        LeaseRecord(
            name: name(pair.key), value: [UInt8](pair.value.prefix(LeaseCodec.sizeLimit + 1)),
            createRevision: pair.createRevision,
            modRevision: pair.modRevision, isReservation: pair.lease == 0)
    }
}
