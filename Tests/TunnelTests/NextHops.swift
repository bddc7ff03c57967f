import IPNetwork

@testable import Tunnel

/// A next hop from text; a test with a mistake in it finds none.
func hop(_ prefix: String, _ endpoint: String, port: UInt16 = 8285) -> NextHop {
    NextHop(
        prefix: IPPrefix(prefix) ?? .v4(IPv4Prefix(host: .any)), endpoint: IPAddress(endpoint) ?? .v4(.any), port: port)
}
