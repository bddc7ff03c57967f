import Testing

@testable import EtcdRegistry

/// What an operator is told.
@Suite struct V2ErrorTests {
    private struct Case: Sendable, CustomTestStringConvertible {
        let status: Int
        let type: String
        let body: String
        let kind: StoreError.Kind
        let says: String
        var testDescription: String { "\(status) \(body.prefix(30))" }
    }

    private static let foreign = [
        Case(status: 404, type: "text/plain", body: "404 page not found\n", kind: .unsupported, says: "--enable-v2"),
        Case(
            status: 400, type: "", body: "Client sent an HTTP request to an HTTPS server.\n", kind: .unavailable,
            says: "https://"),
        Case(
            status: 503, type: "text/html", body: "<html>\n503 Service Unavailable", kind: .unavailable,
            says: "status 503"),
        Case(status: 200, type: "application/json", body: #"{"action":"ge"#, kind: .unavailable, says: "can't be read"),
        Case(status: 200, type: "text/html", body: "<html>Welcome!", kind: .unsupported, says: "a proxy"),
        Case(status: 302, type: "text/html", body: "", kind: .unsupported, says: "no text"),
    ]

    @Test(arguments: foreign)
    private func whatEtcdDoesNotAnswer(_ example: Case) throws {
        let endpoint = try EtcdEndpoint("http://10.0.0.1:2379")
        let error = StoreError(
            foreign: V2Answer(
                status: example.status, index: nil, contentType: example.type, body: Array(example.body.utf8)),
            V2MalformedAnswer(reason: "x"), at: endpoint, RequestSubject("list leases", key: "/net/subnets"))
        #expect(error.kind == example.kind && error.description.contains(example.says), "\(error)")
        #expect(error.description.contains("http://10.0.0.1:2379") && error.description.contains("/net/subnets"))
    }

    @Test(arguments: [
        (100, StoreError.Kind.refused), (101, .refused), (104, .refused), (107, .refused), (108, .refused),
        (300, .noLeader), (301, .noLeader), (400, .unavailable), (401, .compacted),
    ])
    func whatEtcdAnswers(_ code: Int, _ kind: StoreError.Kind) throws {
        let error = StoreError(
            V2Failure(code: code, message: "M", cause: "C"), at: try EtcdEndpoint("http://10.0.0.1:2379"),
            RequestSubject("write a lease", key: "/net/subnets/a", writes: true), user: nil, isKnown: false)
        #expect(error.kind == kind, "\(error)")
    }

    @Test func whoMayNotIsToldWhat() throws {
        let endpoint = try EtcdEndpoint("http://10.0.0.1:2379")
        let failure = V2Failure(code: 110, message: "M", cause: "C")
        let read = RequestSubject("list leases", key: "/net/subnets")
        let write = RequestSubject("write a lease", key: "/net/subnets/a", writes: true)
        func error(_ subject: RequestSubject, _ user: String?, _ isKnown: Bool) -> StoreError {
            StoreError(failure, at: endpoint, subject, user: user, isKnown: isKnown)
        }
        #expect(error(read, nil, false).kind == .unauthenticated)
        #expect(error(read, nil, false).description.contains("etcd-username"))
        #expect(error(read, "weft", false).kind == .unauthenticated)
        #expect(error(read, "weft", false).description.contains("password"))
        #expect(error(write, "weft", true).kind == .permissionDenied)
        #expect(error(write, "weft", true).description.contains("etcdctl role grant"))
    }
}
