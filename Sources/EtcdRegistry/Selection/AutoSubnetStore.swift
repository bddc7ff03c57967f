import Leases
import Logging
import Synchronization

/// etcd over the API that holds a network config: v3 if both hold the same one.
///
/// With none, or with different ones, it waits: sessions fail with what is to be done, and once every endpoint has said
/// so the last one keeps looking until that changes. Once chosen, an API stays chosen, since peers and lease are in it.
public final class AutoSubnetStore: SubnetStore {
    private struct State {
        var chosen: (any SubnetStore)?
        /// The last thing that kept from choosing, and how often in a row it did.
        var obstacle: StoreError?
        var repeats = 0
    }

    private let v2: V2SubnetStore
    private let v3: V3SubnetStore
    private let logger: Logger
    private let lookInterval: Duration
    private let state = Mutex(State())

    /// Nothing is connected before the first session.
    public convenience init(configuration: EtcdConfiguration, logger: Logger) {
        self.init(configuration: configuration, logger: logger, lookInterval: .seconds(5))
    }

    /// - Parameter lookInterval: How long it waits, about, between two looks at what keeps it from choosing.
    init(configuration: EtcdConfiguration, logger: Logger, lookInterval: Duration) {
        v2 = V2SubnetStore(configuration: configuration, logger: logger)
        v3 = V3SubnetStore(configuration: configuration, logger: logger)
        self.logger = logger
        self.lookInterval = lookInterval
    }

    private var chosen: (any SubnetStore)? { state.withLock { $0.chosen } }

    /// The configured ones, and what the chosen API adds.
    public var endpoints: [String] { (chosen ?? v3).endpoints }
    /// Without what the chosen API adds.
    public var configuredEndpointCount: Int { v3.configuredEndpointCount }
    /// `<prefix>/config`.
    public var configKey: String { v3.configKey }
    /// As configured.
    public var leaseTimeToLive: Duration { v3.leaseTimeToLive }
    /// The chosen API's.
    public var configCommand: String { (chosen ?? v3).configCommand }

    /// A session of the API that is chosen, or that holds a config now.
    ///
    /// - Throws: ``StoreError``, also when there is nothing to choose by, and what `body` throws.
    public func withSession(
        endpoint: Int, _ body: @Sendable (any SubnetSession) async throws -> Void
    ) async throws {
        while chosen == nil {
            switch try await attempt(endpoint, body) {
            case nil: return
            case .use(let version, let reason): choose(version, reason)
            case .failed(let error): throw error
            case .wait(let error):
                let count = endpoints.count
                let isSaid = state.withLock { state in
                    state.repeats = state.obstacle == error ? state.repeats + 1 : 1
                    state.obstacle = error
                    return state.repeats > count
                }
                guard isSaid else { throw error }
                try await Task.sleep(for: lookInterval * Double.random(in: 0.5...1))
            }
        }
        try await chosen?.withSession(endpoint: endpoint, body)
    }

    private func choose(_ version: EtcdAPIVersion, _ reason: String) {
        let store: any SubnetStore = version == .v2 ? v2 : v3
        state.withLock { $0.chosen = store }
        logger.notice("etcd API chosen", metadata: ["api": "\(version.rawValue)", "reason": "\(reason)"])
    }

    /// Looks, and if it is v3 goes on with the session that it looked with: a start is to be quick.
    ///
    /// - Returns: `nil` when `body` ran.
    private func attempt(
        _ endpoint: Int, _ body: @Sendable (any SubnetSession) async throws -> Void
    ) async throws -> APIVerdict? {
        let verdict = Mutex<APIVerdict?>(nil)
        let hasSession = Mutex(false)
        do {
            try await v3.withOwnSession(endpoint: endpoint) { session in
                hasSession.withLock { $0 = true }
                async let new = Self.finding { try await session.readConfig() }
                let old = await look2(endpoint)
                let found = try await judge(endpoint, v2: old, v3: await new)
                if case .use(.v3, let reason) = found {
                    choose(.v3, reason)
                    try await body(session)
                } else {
                    verdict.withLock { $0 = found }
                }
            }
            return verdict.withLock { $0 }
        } catch let error as StoreError where !hasSession.withLock({ $0 }) {
            return try await judge(endpoint, v2: await look2(endpoint), v3: APIFinding(error))
        }
    }

    private func judge(_ endpoint: Int, v2 old: APIFinding, v3 new: APIFinding) async throws -> APIVerdict {
        var (v2, v3) = (old, new)
        switch (v2, v3) {
        case (.failed(let error), .config), (.failed(let error), .noConfig):
            // What speaks gRPC and no HTTP/1.1 has no v2 API; what merely broke answers the second time.
            if error.kind == .unavailable {
                v2 = await look2(endpoint)
                if case .failed(let error) = v2, error.kind == .unavailable { v2 = .noAPI }
            }
        case (.failed, _): break
        case (_, .failed(let error)) where error.kind == .unavailable:
            // HTTP works, gRPC does not.
            if await isBefore3(endpoint) { v3 = .noAPI }
        default: break
        }
        try Task.checkCancellation()
        return APIVerdict(
            v2: v2, v3: v3, key: configKey, commands: (v2: self.v2.configCommand, v3: self.v3.configCommand))
    }

    private func look2(_ endpoint: Int) async -> APIFinding {
        await Self.finding {
            let text = Mutex<[UInt8]?>(nil)
            try await v2.withOwnSession(endpoint: endpoint) { session in
                let found = try await session.readConfig().text
                text.withLock { $0 = found }
            }
            return text.withLock { $0 }
        }
    }

    private func isBefore3(_ endpoint: Int) async -> Bool {
        let isOld = Mutex(false)
        try? await v2.withOwnSession(endpoint: endpoint) { session in
            let version = try await session.version()
            isOld.withLock { $0 = version.map { $0.major < 3 } ?? false }
        }
        return isOld.withLock { $0 }
    }

    private static func finding(_ look: () async throws -> [UInt8]?) async -> APIFinding {
        do {
            return try await look().map { .config($0) } ?? .noConfig
        } catch {
            return APIFinding(error as? StoreError ?? .cancelled)
        }
    }
}

extension APIFinding {
    fileprivate init(_ error: StoreError) {
        self = error.kind == .unsupported ? .noAPI : .failed(error)
    }
}
