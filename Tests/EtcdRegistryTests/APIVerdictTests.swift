import Testing

@testable import EtcdRegistry

/// Which API counts, by what is in both.
@Suite struct APIVerdictTests {
    private static let config = Array(#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#.utf8)
    private static let other = Array(#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#.utf8)
    private static let same = Array(
        #"{ "network" : "10.5.0.0/16", "SubnetLen": 24, "backend": {"Type": "vxlan"} }"#.utf8)
    private static let timedOut = APIFinding.failed(StoreError(.timedOut, cause: "late", remedy: "hurry"))

    private func verdict(v2: APIFinding, v3: APIFinding) -> APIVerdict {
        APIVerdict(v2: v2, v3: v3, key: "/n/config", commands: (v2: "SET", v3: "PUT"))
    }

    private func version(_ verdict: APIVerdict) -> EtcdAPIVersion? {
        if case .use(let version, _) = verdict { version } else { nil }
    }

    private func waiting(_ verdict: APIVerdict) -> StoreError? {
        if case .wait(let error) = verdict { error } else { nil }
    }

    private func failure(_ verdict: APIVerdict) -> StoreError? {
        if case .failed(let error) = verdict { error } else { nil }
    }

    @Test func theOneWithAConfig() {
        for nothing in [APIFinding.noConfig, .noAPI] {
            #expect(version(verdict(v2: nothing, v3: .config(Self.config))) == .v3)
            #expect(version(verdict(v2: .config(Self.config), v3: nothing)) == .v2)
        }
    }

    @Test func equalConfigsMeanV3() {
        #expect(version(verdict(v2: .config(Self.config), v3: .config(Self.config))) == .v3)
        #expect(
            version(verdict(v2: .config(Self.config), v3: .config(Self.same))) == .v3, "another text, the same config")
        #expect(version(verdict(v2: .config([1]), v3: .config([1]))) == .v3, "equal though malformed")
    }

    @Test func differentConfigsAreForTheOperator() throws {
        for other in [Self.other, Array("nonsense".utf8)] {
            let error = try #require(waiting(verdict(v2: .config(Self.config), v3: .config(other))))
            #expect(error.cause.contains("10.5.0.0/16") && error.cause.contains(String(decoding: other, as: UTF8.self)))
            #expect(error.remedy?.contains("--etcd-api") == true && error.remedy?.contains("weft migrate") == true)
        }
    }

    @Test func noConfigNamesTheWays() throws {
        let both = try #require(waiting(verdict(v2: .noConfig, v3: .noConfig)))
        #expect(both.description.contains("PUT") && both.description.contains("SET"))
        let new = try #require(waiting(verdict(v2: .noAPI, v3: .noConfig)))
        #expect(new.description.contains("PUT") && !new.description.contains("SET"))
        let old = try #require(waiting(verdict(v2: .noConfig, v3: .noAPI)))
        #expect(!old.description.contains("PUT") && old.description.contains("SET"))
    }

    @Test func whatCannotBeReadIsNotGuessed() throws {
        let v2 = try #require(failure(verdict(v2: Self.timedOut, v3: .config(Self.config))))
        #expect(v2.kind == .timedOut && v2.description.contains("--etcd-api v3") && v2.description.contains("hurry"))
        let v3 = try #require(failure(verdict(v2: .config(Self.config), v3: Self.timedOut)))
        #expect(v3.description.contains("--etcd-api v2"))
        #expect(failure(verdict(v2: Self.timedOut, v3: .noConfig))?.cause == "late")
        #expect(failure(verdict(v2: .noAPI, v3: .noAPI))?.kind == .unsupported)
    }
}
