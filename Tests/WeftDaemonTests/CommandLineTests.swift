import IPNetwork
import Testing

@testable import WeftDaemon

/// flannel's command line as running clusters use it.
@Suite struct CommandLineTests {
    func parse(_ arguments: String..., environment: [String: String] = [:]) throws -> DaemonConfiguration {
        try DaemonCommandLine.parse(arguments, environment: environment)
    }

    @Test func defaultsAreFlannels() throws {
        let configuration = try parse()
        #expect(configuration.etcdEndpoints == ["http://127.0.0.1:4001", "http://127.0.0.1:2379"])
        #expect(configuration.etcdPrefix == "/coreos.com/network")
        #expect(configuration.subnetFile == "/run/flannel/subnet.env")
        #expect(configuration.renewMargin == 60)
        #expect(configuration.firewallResync == 5)
        #expect(!configuration.masquerade)
        #expect(configuration.forwardRules)
        #expect(configuration.healthPort == 0)
    }

    @Test func oneDashOrTwoAndBothFormsOfValues() throws {
        let configuration = try parse(
            "-etcd-endpoints=http://192.0.2.1:2379,https://192.0.2.2:2379", "--iface", "eth1", "-iface=eth0",
            "--ip-masq",
            "-iptables-forward-rules=false", "--healthz-port=8080", "-v", "2")
        #expect(configuration.etcdEndpoints == ["http://192.0.2.1:2379", "https://192.0.2.2:2379"])
        #expect(configuration.interfaces == ["eth1", "eth0"])
        #expect(configuration.masquerade)
        #expect(!configuration.forwardRules)
        #expect(configuration.healthPort == 8080)
        #expect(configuration.verbosity == 2)
    }

    @Test func variablesCountWhereNoFlagIsGiven() throws {
        let environment = [
            "FLANNELD_ETCD_ENDPOINTS": "http://192.0.2.9:2379", "FLANNELD_IP_MASQ": "true", "FLANNELD_IFACE": "eth7",
            "FLANNELD_SUBNET_LEASE_RENEW_MARGIN": "30", "UNRELATED": "x",
        ]
        let configuration = try parse("--iface=eth0", "--ip-masq=0", environment: environment)
        #expect(configuration.etcdEndpoints == ["http://192.0.2.9:2379"])
        #expect(configuration.renewMargin == 30)
        #expect(configuration.interfaces == ["eth0"], "the flag wins over the variable")
        #expect(!configuration.masquerade)
    }

    @Test(arguments: [
        (["--nosuch"], "there is no flag --nosuch; see --help"),
        (["--etcd-endpoint=x"], "there is no flag --etcd-endpoint, do you mean --etcd-endpoints; see --help"),
        (["--ifaces=eth0"], "there is no flag --ifaces, do you mean --iface; see --help"),
        (["---iface=eth0"], "\"---iface=eth0\" has too many dashes"),
        (["--=x"], "\"--=x\" has no flag's name; see --help"),
        (["eth0"], "\"eth0\" is no flag; see --help"),
        (["-"], "\"-\" is no flag; see --help"),
        (["", "--iface=eth0"], "\"\" is no flag; see --help"),
        (["--iface=eth0", "", "word"], "\"\" is no flag; see --help"),
        (["--iface=eth0", "true"], "\"true\" is no flag; see --help"),
        (["--ip-masq", "eth0"], "\"eth0\" is no flag; see --help"),
        (
            ["--ip-masq", "true", "--iface=eth1"],
            "\"true\" is no flag, and flannel leaves all after it unread; a boolean flag takes its value after =: "
                + "--ip-masq=true"
        ),
        (["--iface"], "--iface needs a value"),
        (["--ip-masq=maybe"], "--ip-masq is \"maybe\"; allowed: true or false"),
        (
            ["--subnet-lease-renew-margin=1440"],
            "--subnet-lease-renew-margin is \"1440\"; allowed: a whole number from 1 to 1439"
        ),
        (["--healthz-port=-1"], "--healthz-port is \"-1\"; allowed: a whole number from 0 to 65535"),
        (["--healthz-ip=host"], "--healthz-ip is \"host\"; allowed: an IP address"),
        (
            ["--public-ip=127.0.0.1"],
            "--public-ip is \"127.0.0.1\"; allowed: an IPv4 address that other hosts can reach"
        ),
        (
            ["--etcd-endpoints=ftp://x"],
            "--etcd-endpoints is \"ftp://x\"; allowed: http://HOST:PORT or https://HOST:PORT, separated by commas"
        ),
        (
            ["--etcd-prefix=network"],
            "--etcd-prefix is \"network\"; allowed: a key that begins with /, such as /coreos.com/network"
        ),
        (
            ["--etcd-prefix=//"],
            "--etcd-prefix is \"//\"; allowed: a key that begins with /, such as /coreos.com/network"
        ),
        (["--iface-regex=("], "--iface-regex is \"(\"; allowed: a regular expression as Go has them (a ) is missing)"),
        (["--iface-can-reach=gw"], "--iface-can-reach is \"gw\"; allowed: an IP address"),
        (
            ["--public-ipv6=fe80::1"],
            "--public-ipv6 is \"fe80::1\"; allowed: an IPv6 address that other hosts can reach"
        ),
        (["--subnet-file="], "--subnet-file is \"\"; allowed: a path of a file"),
        (["--iptables-resync=08"], "--iptables-resync is \"08\"; allowed: a whole number from 0 to 86400"),
        (["-v=0x2"], "--v is \"0x2\"; allowed: a whole number"),
        (["--etcd-password=geheim", "--etcd-password"], "--etcd-password needs a value"),
        (["--etcd-certfile=/a"], "--etcd-certfile and --etcd-keyfile go together; one of them is missing"),
    ]) func mistakesAreNamed(_ arguments: [String], _ message: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try DaemonCommandLine.parse(arguments, environment: [:])
        }
        #expect(error?.description == message)
    }

    @Test func aBadVariableIsNamed() {
        let error = #expect(throws: ConfigurationError.self) {
            try parse(environment: ["FLANNELD_HEALTHZ_PORT": "http"])
        }
        #expect(error?.description == "FLANNELD_HEALTHZ_PORT is \"http\"; allowed: a whole number from 0 to 65535")
    }

    // MARK: Go's flag package

    /// `strconv.ParseInt` with base 0, which `flag.IntVar` uses.
    @Test(arguments: [
        ("0", 0), ("12", 12), ("+12", 12), ("-12", -12), ("0x1F", 31), ("0X1f", 31), ("0o17", 15), ("0O17", 15),
        ("017", 15), ("0b101", 5), ("0B101", 5), ("1_000", 1000), ("0x_1f", 31), ("0_7", 7), ("-0x10", -16), ("00", 0),
    ]) func integersAreGos(_ text: String, _ value: Int) { #expect(GoSyntax.integer(text) == value) }

    @Test(arguments: [
        "", "+", "-", "_1", "1_", "1__0", "08", "0x", "0x_", "0xg", "0b2", "1e3", "1.0", " 1", "1 ", "--1", "+-1",
        "0x-1",
        "٣", "99999999999999999999",
    ]) func othersAreNoIntegers(_ text: String) { #expect(GoSyntax.integer(text) == nil, "\(text)") }

    @Test func theLastOfDuplicatesWinsAndListsGrow() throws {
        let configuration = try parse(
            "--healthz-port=1", "-healthz-port=0x10", "--ip-masq", "--ip-masq=f", "--iface=a", "--iface=b",
            "--iface-regex=c", "--iface-regex", "d", "-v=-1")
        #expect(configuration.healthPort == 16)
        #expect(!configuration.masquerade)
        #expect(configuration.interfaces == ["a", "b"])
        #expect(configuration.interfaceExpressions.map(\.description) == ["c", "d"])
        #expect(configuration.verbosity == -1)
    }

    /// A value may begin with a dash, and a boolean flag takes none from the next word.
    @Test func valuesAreTakenAsGoTakesThem() throws {
        #expect(try parse("--etcd-password", "--ip-masq").etcdPassword == "--ip-masq")
        #expect(try parse("--etcd-password=a=b").etcdPassword == "a=b")
        let last = try parse("--iface=eth0", "--ip-masq", "false")
        #expect(last.masquerade, "as flannel")
        #expect(last.unused.map(\.name) == ["\"false\""])
        let empty = try parse("--ip-masq", "true", "")
        #expect(empty.masquerade && empty.unused.map(\.name) == ["\"true\""])
        let ended = try parse("--ip-masq", "--", "--iface=eth0", "word")
        #expect(ended.masquerade && ended.interfaces.isEmpty)
        #expect(ended.unused.map(\.name) == ["\"--iface=eth0\"", "\"word\""])
    }

    /// systemd makes an empty word of a variable in braces that is not set.
    @Test func emptyWordsAtTheEndAreNamedAndHarmless() throws {
        for arguments in [["--iface=eth0", ""], ["--iface=eth0", "", ""], ["--iface", "eth0", ""]] {
            let configuration = try DaemonCommandLine.parse(arguments, environment: [:])
            #expect(configuration.interfaces == ["eth0"])
            #expect(configuration.unused.map(\.name) == ["\"\""])
        }
        #expect(try parse("").unused.map(\.name) == ["\"\""])
    }

    @Test func helpComesBeforeWhatFollowsIt() throws {
        #expect(try parse("--iface=eth0", "-h", "--nosuch").mode == .help)
        #expect(try parse("--help=x").mode == .help)
        #expect(throws: ConfigurationError.self) { try parse("--nosuch", "-h") }
        #expect(try parse("--version", "--iface=eth0").mode == .version)
        #expect(try parse("--version=false").mode == .run)
    }

    /// Manifests and unit files pass what is not set as an empty value.
    @Test func emptyValuesAreAsIfNotGiven() throws {
        let configuration = try parse(
            "--iface=", "--iface-regex=", "--iface-can-reach=", "--public-ip=", "--public-ipv6=", "--etcd-username=",
            "--healthz-ip=", environment: ["FLANNELD_IP_MASQ": "", "FLANNELD_HEALTHZ_PORT": "", "FLANNELD_NONE": ""])
        #expect(configuration == DaemonConfiguration())
        // One value in a variable: flannel does not take it apart.
        #expect(try parse(environment: ["FLANNELD_IFACE": "eth0,eth1"]).interfaces == ["eth0,eth1"])
    }

    @Test func pathsAndPrefixesAreCleaned() throws {
        #expect(try parse("--etcd-prefix=/a//b/").etcdPrefix == "/a/b")
        #expect(try parse("--subnet-file=x/subnet.env").subnetFile.hasSuffix("/x/subnet.env"))
        #expect(try parse("--subnet-file=x/subnet.env").subnetFile.hasPrefix("/"))
        #expect(
            try parse("--etcd-endpoints=localhost:2379, http://a:1,").etcdEndpoints == ["localhost:2379", "http://a:1"])
    }

    // MARK: What has no effect

    @Test func settingsWithoutEffectAreNamedOnce() throws {
        let configuration = try parse(
            "--vmodule=a=1", "-vmodule", "b=2", "--kube-subnet-mgr=false", "--set-node-network-unavailable",
            "--net-config-path=/x",
            environment: [
                "FLANNELD_KUBE_API_URL": "http://192.0.2.1", "NODE_NAME": "a", "POD_NAME": "", "ACCESS_KEY_ID": "x",
                "FLANNELD_IFACES": "eth0",
            ])
        #expect(
            configuration.unused.map(\.name) == [
                "FLANNELD_KUBE_API_URL", "--vmodule", "--set-node-network-unavailable", "--net-config-path",
                "NODE_NAME",
                "ACCESS_KEY_ID", "FLANNELD_IFACES",
            ])
        #expect(configuration.unused.last?.reason == "no flag has this variable; do you mean FLANNELD_IFACE")
        #expect(configuration.unused.allSatisfy { !$0.reason.isEmpty })
    }

    @Test func theKubernetesSubnetManagerIsRefusedWithAWayOut() {
        for environment in [[:], ["FLANNELD_KUBE_SUBNET_MGR": "1"]] {
            let arguments = environment.isEmpty ? ["--kube-subnet-mgr"] : []
            let error = #expect(throws: ConfigurationError.self) {
                try DaemonCommandLine.parse(arguments, environment: environment)
            }
            #expect(error?.description.contains("allowed: false") == true)
            #expect(error?.description.contains("--etcd-endpoints") == true)
        }
    }

    /// One word that reads as flannel's own version and yet tells Weft.
    @Test func theVersionReadsAsFlannels() {
        #expect(Version.line.wholeMatch(of: /v[0-9]+\.[0-9]+\.[0-9]+\+weft\.[0-9]+\.[0-9]+\.[0-9]+/) != nil)
        #expect(Version.line.hasPrefix("v\(Version.flannel)+"))
    }

    @Test func helpNamesEveryFlag() {
        for flag in Flag.all where flag.name != "h" {
            #expect(DaemonCommandLine.help().contains("--\(flag.name)"))
        }
        let lines = DaemonCommandLine.help(program: "/usr/bin/weftd").split(separator: "\n")
        #expect(lines.first == "Usage: /usr/bin/weftd [OPTION]...")
        #expect(lines.allSatisfy { $0.count <= 112 })
    }
}
