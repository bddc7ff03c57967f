import EtcdRegistry
import Testing

@Suite struct EndpointTests {
    @Test(arguments: [
        ("http://127.0.0.1:2379", "http://127.0.0.1:2379"), ("https://etcd.example:4001/", "https://etcd.example:4001"),
        ("10.0.0.1:2379", "http://10.0.0.1:2379"), ("HTTP://host", "http://host:2379"),
        ("https://[fd00::1]:2379", "https://[fd00::1]:2379"), ("http://[fd00::1]", "http://[fd00::1]:2379"),
    ])
    func accepts(_ text: String, _ url: String) throws {
        #expect(try EtcdEndpoint(text).description == url)
    }

    @Test(arguments: [
        "", "http://", "ftp://host:1", "unix:///run/etcd", "http://host:0", "http://host:65536", "http://host:+1",
        "http://host:", "http://host:x", "http://user@host:1", "http://host:1/path", "http://host:1?q", "http://a b:1",
        "http://fd00::1:2379", "http://[fd00::x]:1", "http://[fd00::1]2379", "http://höst:1", "http://a,b:1",
        "://host:1",
    ])
    func refuses(_ text: String) {
        #expect(throws: EtcdConfigurationError.self) { try EtcdEndpoint(text) }
    }

    @Test(arguments: [
        "http://root:s3cret@10.0.0.1:2379", "root:s3cret@10.0.0.1:2379", "ftp://root:s3cret@h", "http://a:s3cret@b@h/?",
        "http://root:s3cret/x@h",
    ])
    func passwordsStayOutOfErrors(_ text: String) throws {
        let error = try #require(throws: EtcdConfigurationError.self) { try EtcdEndpoint(text) }
        #expect(!"\(error)".contains("s3cret") && "\(error)".contains("***@"))
    }

    @Test func credentialsDontPrintThePassword() throws {
        let credentials = EtcdCredentials(user: "weft", password: "s3cret")
        let whole = try EtcdConfiguration(endpoints: ["http://10.0.0.1:2379"], credentials: credentials)
        var dumped = ""
        dump(whole, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), "\(whole)", dumped] {
            #expect(text.contains("weft") && !text.contains("s3cret"))
        }
    }

    @Test func configurationNamesTheFieldAtFault() {
        let good = ["http://10.0.0.1:2379"]
        let cases: [(String, () throws -> EtcdConfiguration)] = [
            ("etcd-endpoints", { try EtcdConfiguration(endpoints: []) }),
            ("etcd-prefix", { try EtcdConfiguration(endpoints: good, prefix: "//") }),
            ("etcd-cafile", { try EtcdConfiguration(endpoints: good, tls: EtcdTLS(caFile: "/nonexistent")) }),
            ("etcd-keyfile", { try EtcdConfiguration(endpoints: good, tls: EtcdTLS(certificateFile: "/dev/null")) }),
            ("subnet-lease-renew-margin", { try EtcdConfiguration(endpoints: good, renewMargin: .seconds(86400)) }),
        ]
        for (field, make) in cases {
            let error = #expect(throws: EtcdConfigurationError.self) { try make() }
            #expect(error?.field == field)
        }
        #expect(throws: Never.self) { try EtcdConfiguration(endpoints: good) }
    }
}
