import EtcdRegistry
import Foundation
import Logging

let networkConfig = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#

/// For requests whose answer comes, so that a busy machine turns none into a failure.
let longRequestTimeout = Duration.seconds(60)

func uniquePrefix() -> String { "/weft-test/\(UUID().uuidString)" }

func v3Store(_ server: EtcdServer, prefix: String, ttl: Duration = .seconds(86400)) throws -> V3SubnetStore {
    try v3Store([server.clientURL], prefix: prefix, ttl: ttl, requestTimeout: longRequestTimeout)
}

func v3Store(
    _ urls: [String], prefix: String, ttl: Duration = .seconds(86400), requestTimeout: Duration = .seconds(5)
) throws -> V3SubnetStore {
    V3SubnetStore(
        configuration: try EtcdConfiguration(
            endpoints: urls, prefix: prefix, leaseTimeToLive: ttl, renewMargin: ttl / 2,
            requestTimeout: requestTimeout),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

func v2Store(_ server: EtcdServer, prefix: String, ttl: Duration = .seconds(86400)) throws -> V2SubnetStore {
    try v2Store([server.clientURL], prefix: prefix, ttl: ttl, requestTimeout: longRequestTimeout)
}

func v2Store(
    _ urls: [String], prefix: String, ttl: Duration = .seconds(86400), requestTimeout: Duration = .seconds(5)
) throws -> V2SubnetStore {
    V2SubnetStore(
        configuration: try EtcdConfiguration(
            endpoints: urls, prefix: prefix, leaseTimeToLive: ttl, renewMargin: ttl / 2,
            requestTimeout: requestTimeout),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}
