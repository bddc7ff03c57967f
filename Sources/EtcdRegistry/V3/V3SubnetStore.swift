import GRPCCore
import GRPCNIOTransportHTTP2Posix
import IPNetwork
import Leases
import Logging
import Synchronization

/// etcd over its v3 API.
public final class V3SubnetStore: SubnetStore {
    /// The configured URLs, in order.
    public let endpoints: [String]
    /// `<prefix>/config`.
    public var configKey: String { "\(configuration.prefix)/config" }
    /// An `etcdctl put` with an example config for VXLAN.
    public var configCommand: String { EtcdAPIVersion.v3.configCommand(key: configKey) }

    /// As configured; etcd counts in whole seconds.
    public var leaseTimeToLive: Duration { configuration.leaseTimeToLive }

    let configuration: EtcdConfiguration
    let logger: Logger
    /// An etcd lease that was granted and is bound to no key; outlives a session, so that an outage in the middle of an
    /// acquisition leaves none behind.
    let spare = Mutex<SpareLease?>(nil)

    let ignoredUser = IgnoredUser()

    /// Nothing is connected before the first session.
    public init(configuration: EtcdConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        endpoints = configuration.endpoints.map(\.description)
    }

    /// Sets up TLS and one HTTP/2 connection, which all calls of the session share.
    ///
    /// - Throws: ``StoreError`` when TLS or the connection fails, and what `body` throws.
    public func withSession(
        endpoint index: Int, _ body: @Sendable (any SubnetSession) async throws -> Void
    ) async throws {
        try await withOwnSession(endpoint: index) { try await body($0) }
    }

    func withOwnSession(endpoint index: Int, _ body: @Sendable (V3Session) async throws -> Void) async throws {
        let endpoint = configuration.endpoints[index]
        let transport: HTTP2ClientTransport.Posix
        do {
            transport = try makeTransport(endpoint)
        } catch {
            throw StoreError(
                .unavailable, cause: "\(endpoint): TLS can't be set up: \(StoreError.innermostText(error))",
                remedy: "check that etcd-cafile, etcd-certfile and etcd-keyfile hold PEM and belong together")
        }
        let client = GRPCClient(transport: transport)
        // Not a child task: a connection attempt in a black hole ends only by its own timeout, and stopping must not
        // wait for it.
        let connections = Task { try? await client.runConnections() }
        defer { connections.cancel() }
        let session = V3Session(store: self, endpoint: endpoint, client: client)
        // A request that waits for a connection, in the middle of a TLS handshake for example, may not heed
        // cancellation by itself; the end of its connection it does.
        try await withTaskCancellationHandler {
            try await session.logIn()
            try await body(session)
        } onCancel: {
            connections.cancel()
        }
    }

    private func makeTransport(_ endpoint: EtcdEndpoint) throws -> HTTP2ClientTransport.Posix {
        try HTTP2ClientTransport.Posix(
            target: endpoint.target,
            transportSecurity: endpoint.usesTLS ? .tls(configuration.tls.transport) : .plaintext,
            config: .defaults {
                // etcd drops clients that ping more often than every 5 s.
                $0.connection.keepalive = .init(time: .seconds(6), timeout: .seconds(3), allowWithoutCalls: true)
                $0.connection.maxIdleTime = nil
                // The connection is made anew from outside, at the next endpoint.
                $0.backoff = .init(initial: .seconds(1), max: .seconds(5), multiplier: 1.6, jitter: 0.2)
            },
            eventLoopGroup: EventLoops.shared)
    }
}

/// A granted etcd lease without a key.
struct SpareLease {
    let id: Int64
    /// Not later than the start of its time to live.
    let grantedAt: ContinuousClock.Instant
    /// A create with it ended without an answer: a key may be bound to it.
    var mayBeBound = false

    /// A key that is bound to it must live, but for a moment, as long as with an etcd lease granted now: its renewal is
    /// planned by that.
    func isFresh(at now: ContinuousClock.Instant, renewMargin: Duration) -> Bool {
        !mayBeBound && now - grantedAt < min(.seconds(60), renewMargin / 2)
    }
}

extension EtcdEndpoint {
    fileprivate var target: any ResolvableTarget {
        if IPv4Address(host) != nil { return .ipv4(address: host, port: port) }
        if IPv6Address(host) != nil { return .ipv6(address: host, port: port) }
        return .dns(host: host, port: port)
    }
}

extension EtcdTLS {
    fileprivate var transport: HTTP2ClientTransport.Posix.TransportSecurity.TLS {
        .defaults {
            if let caFile { $0.trustRoots = .certificates([.file(path: caFile, format: .pem)]) }
            if let certificateFile { $0.certificateChain = [.file(path: certificateFile, format: .pem)] }
            if let keyFile { $0.privateKey = .file(path: keyFile, format: .pem) }
        }
    }
}
