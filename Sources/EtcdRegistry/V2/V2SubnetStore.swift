import AsyncHTTPClient
import Leases
import Logging
import NIOCore
import NIOSSL
import Synchronization

/// etcd over its v2 API, which etcd 3.4 and 3.5 have with `--enable-v2` and older ones always.
public final class V2SubnetStore: SubnetStore {
    /// The configured URLs, in order; then those of other members, when etcd has named them.
    public var endpoints: [String] { (configuration.endpoints + members.withLock { $0 }).map(\.description) }
    /// Without those of other members.
    public var configuredEndpointCount: Int { configuration.endpoints.count }
    /// `<prefix>/config`.
    public var configKey: String { "\(configuration.prefix)/config" }
    /// An `etcdctl set` with an example config for VXLAN.
    public var configCommand: String { EtcdAPIVersion.v2.configCommand(key: configKey) }

    /// As configured; etcd counts in whole seconds.
    public var leaseTimeToLive: Duration { configuration.leaseTimeToLive }

    let configuration: EtcdConfiguration
    let logger: Logger
    let timing: V2Timing
    /// Outlives a session, as the leases do.
    let ages = V2LeaseAges()
    let ignoredUser = IgnoredUser()
    /// Members that are not configured, tried after those that are.
    private let members = Mutex<[EtcdEndpoint]>([])
    private let membersReadAt = Mutex<ContinuousClock.Instant?>(nil)

    /// Nothing is connected before the first session.
    public convenience init(configuration: EtcdConfiguration, logger: Logger) {
        self.init(configuration: configuration, logger: logger, timing: V2Timing())
    }

    init(configuration: EtcdConfiguration, logger: Logger, timing: V2Timing) {
        self.configuration = configuration
        self.logger = logger
        self.timing = timing
    }

    /// Sets up TLS; connections are made as requests need them, three at most while leases are followed.
    ///
    /// - Throws: ``StoreError`` when TLS can't be set up, and what `body` throws.
    public func withSession(
        endpoint index: Int, _ body: @Sendable (any SubnetSession) async throws -> Void
    ) async throws {
        try await withOwnSession(endpoint: index) { try await body($0) }
    }

    func withOwnSession(endpoint index: Int, _ body: @Sendable (V2Session) async throws -> Void) async throws {
        let all = configuration.endpoints + members.withLock { $0 }
        guard all.indices.contains(index) else {
            throw StoreError(.unavailable, cause: "etcd has fewer members than before")
        }
        let endpoint = all[index]
        let client = try makeClient(endpoint)
        // A client of the session's own leaves no connection behind, and reads renewed certificates. Nobody waits for its
        // end: a connection attempt in a black hole has its own timeout.
        defer { Task { try? await client.shutdown() } }
        try await body(V2Session(store: self, endpoint: endpoint, client: client))
    }

    /// Whether the list of members is due to be read; if so, the caller reads it.
    func claimMemberRefresh() -> Bool {
        membersReadAt.withLock { readAt in
            let now = ContinuousClock.now
            if let readAt, now - readAt < timing.memberInterval { return false }
            readAt = now
            return true
        }
    }

    /// Takes what the members say of themselves.
    func takeMembers(_ clientURLs: [String]) {
        let usable = EtcdMembers.fallbacks(clientURLs, configured: configuration.endpoints)
        members.withLock { members in
            guard members != usable else { return }
            members = usable
            logger.info(
                "etcd members known besides the configured ones",
                metadata: ["endpoints": "\(usable.map(\.description).joined(separator: ","))"])
        }
    }

    private func makeClient(_ endpoint: EtcdEndpoint) throws(StoreError) -> HTTPClient {
        var settings = HTTPClient.Configuration()
        if endpoint.usesTLS {
            do {
                settings.tlsConfiguration = try configuration.tls.nio()
            } catch {
                throw StoreError(
                    .unavailable, cause: "\(endpoint): TLS can't be set up: \(error)",
                    remedy: "check that etcd-cafile, etcd-certfile and etcd-keyfile hold PEM and belong together")
            }
        }
        settings.redirectConfiguration = .disallow
        settings.timeout = HTTPClient.Configuration.Timeout(
            connect: TimeAmount(configuration.requestTimeout), read: nil)
        // The registry has its own back-off, and the next endpoint.
        settings.connectionPool.retryConnectionEstablishment = false
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        settings.httpVersion = .http1Only
        return HTTPClient(eventLoopGroup: EventLoops.shared, configuration: settings)
    }
}

/// How often what is looked at.
struct V2Timing: Sendable {
    /// From one look at the member that is followed to the next.
    var probeInterval = Duration.seconds(6)
    /// How long a request waits for a change. Less than the minute after which proxies and firewalls cut quiet
    /// connections, and short enough that etcd's history goes back to its beginning.
    var longestPoll = Duration.seconds(45)
    /// From one look at the list of members to the next.
    var memberInterval = Duration.seconds(600)
}

extension EtcdTLS {
    /// - Throws: What NIOSSL says of a file that is not PEM.
    fileprivate func nio() throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let caFile { tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(caFile)) }
        if let certificateFile {
            tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificateFile).map { .certificate($0) }
        }
        if let keyFile { tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem)) }
        return tls
    }
}
