import GRPCCore
import Testing

@testable import EtcdRegistry

@Suite struct StoreErrorTests {
    @Test(arguments: [
        (RPCError.Code.resourceExhausted, "etcdserver: too many requests", StoreError.Kind.unavailable),
        (.resourceExhausted, "message larger than max (17000000 vs. 16777216)", .tooLarge),
        (.resourceExhausted, "etcdserver: mvcc: database space exceeded", .noSpace),
    ])
    func kinds(_ code: RPCError.Code, _ text: String, _ kind: StoreError.Kind) throws {
        let error = StoreError(
            RPCError(code: code, message: text), at: try EtcdEndpoint("http://10.0.0.1:2379"),
            RequestSubject("list leases", key: "/net/subnets/"), user: nil)
        #expect(error.kind == kind)
    }
}
