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
        (["eth0"], "\"eth0\" is no flag; see --help"),
        (["--iface"], "--iface needs a value"),
        (["--ip-masq=maybe"], "--ip-masq is \"maybe\"; allowed: true or false"),
        (
            ["--subnet-lease-renew-margin=1440"],
            "--subnet-lease-renew-margin is \"1440\"; allowed: a whole number from 1 to 1439"
        ),
        (["--healthz-port=-1"], "--healthz-port is \"-1\"; allowed: a whole number from 0 to 65535"),
        (["--healthz-ip=localhost"], "--healthz-ip is \"localhost\"; allowed: an IP address"),
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
            "--etcd-prefix is \"network\"; allowed: a key that begins with / and does not end with it"
        ),
        (["--iface-regex=("], "--iface-regex is \"(\"; allowed: a regular expression"),
        (["--subnet-file=subnet.env"], "--subnet-file is \"subnet.env\"; allowed: an absolute path of a file"),
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

    @Test func helpNamesEveryFlag() {
        for flag in Flag.all where flag.name != "h" {
            #expect(DaemonCommandLine.help.contains("--\(flag.name)"))
        }
        #expect(DaemonCommandLine.help.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }
}
