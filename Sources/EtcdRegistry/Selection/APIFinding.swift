import Leases

/// What is under the config's key in one of etcd's APIs.
enum APIFinding: Sendable {
    case config([UInt8])
    /// The API is there, the key is not.
    case noConfig
    /// This etcd does not have the API.
    case noAPI
    case failed(StoreError)

    var text: [UInt8]? {
        if case .config(let text) = self { text } else { nil }
    }
}

/// Which API holds the network, by what is in both.
enum APIVerdict: Sendable {
    case use(EtcdAPIVersion, reason: String)
    /// What the APIs hold is nothing to choose by; why, and what an operator can do.
    case wait(StoreError)
    /// One of them could not be read.
    case failed(StoreError)

    /// - Parameters:
    ///   - key: where the config is, for the reason.
    ///   - commands: how an operator puts a config, by API.
    init(v2: APIFinding, v3: APIFinding, key: String, commands: (v2: String, v3: String)) {
        switch (v3, v2) {
        case (.config(let new), .config(let old)):
            if Self.mean(new, old) {
                // A copy is made to leave v2 behind, and stays there when that is done.
                self = .use(.v3, reason: "\(key) is the same in v2 and v3")
            } else {
                self = .wait(
                    StoreError(
                        .refused,
                        cause: "etcd's v2 and v3 hold different network configs at \(key): "
                            + "v2 \(Self.excerpt(old)), v3 \(Self.excerpt(new))",
                        remedy: "say which counts with --etcd-api v2 or --etcd-api v3 on every host, delete the other, "
                            + "or move to v3 with: weft migrate"))
            }
        case (.config, .noConfig), (.config, .noAPI): self = .use(.v3, reason: "\(key) is in v3")
        case (.noConfig, .config), (.noAPI, .config): self = .use(.v2, reason: "\(key) is in v2")
        case (.failed(let error), .config), (.config, .failed(let error)):
            let (found, unread) = v2.text == nil ? ("v3", "v2") : ("v2", "v3")
            self = .failed(
                StoreError(
                    error.kind,
                    cause: "\(error.cause); there is a network config in \(found), but \(unread) may hold another",
                    remedy: "\(error.remedy.map { $0 + "; or " } ?? "")say which counts with --etcd-api \(found)"))
        case (.failed(let error), _), (_, .failed(let error)): self = .failed(error)
        case (.noAPI, .noAPI):
            self = .failed(
                StoreError(
                    .unsupported, cause: "neither etcd's v3 nor its v2 API is there",
                    remedy: "check that etcd-endpoints are an etcd's client URLs"))
        case (.noConfig, .noConfig), (.noConfig, .noAPI), (.noAPI, .noConfig):
            var ways: [String] = []
            if case .noConfig = v3 { ways.append(commands.v3) }
            if case .noConfig = v2 { ways.append(commands.v2) }
            self = .wait(
                StoreError(
                    .unavailable, cause: "there is no network config at \(key)",
                    remedy: "put one with: " + ways.joined(separator: ", or for etcd's v2 API: ")))
        }
    }

    /// Whether two texts say the same.
    private static func mean(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        if left == right { return true }
        guard let left = try? NetworkConfig(json: left), let right = try? NetworkConfig(json: right) else {
            return false
        }
        return left == right
    }

    private static func excerpt(_ text: [UInt8]) -> String {
        let line = String(decoding: text.prefix(400), as: UTF8.self).split(whereSeparator: \.isNewline)
            .joined(separator: " ")
        return line.count > 160 ? line.prefix(160) + "…" : line
    }
}
