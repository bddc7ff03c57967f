import Foundation
import Testing

extension EndToEnd {
    /// A start that cannot work says why, in one line.
    @Suite struct BadStartTests {
        /// Runs the daemon where it ends by itself.
        private func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> (Int32, String) {
            let log = "\(NSTemporaryDirectory())/wd-start-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
            defer { unlink(log) }
            let process = try BackgroundProcess([LabHost.binary] + arguments, environment: environment, log: log)
            defer { process.stop() }
            try await eventually("weftd \(arguments) ends") { process.exitStatus != nil }
            return (process.exitStatus ?? -1, process.log)
        }

        @Test(arguments: [
            (["--frobnicate"], "--frobnicate"), (["-etcd-endpoint=http://a:1"], "etcd-endpoints"), (["word"], "word"),
            (["---iface=x"], "---iface=x"), (["--ip-masq=perhaps"], "ip-masq"), (["--iface"], "iface"),
            (["--iface-regex=("], "iface-regex"), (["--public-ip=1.2.3"], "public-ip"),
            (["--public-ip=224.0.0.1"], "public-ip"), (["--subnet-file="], "subnet-file"),
            (["--etcd-endpoints="], "etcd-endpoints"), (["--etcd-endpoints=localhost"], "etcd-endpoints"),
            (["--etcd-prefix=x"], "etcd-prefix"), (["--kube-subnet-mgr"], "kube-subnet-mgr"),
            (["--etcd-certfile=/x"], "etcd-keyfile"), (["--subnet-lease-renew-margin=0"], "subnet-lease-renew-margin"),
            (["--subnet-lease-renew-margin=1440"], "subnet-lease-renew-margin"),
            (["--iptables-resync=-1"], "iptables-resync"),
            (["--iptables-forward-rules=2x"], "iptables-forward-rules"), (["--healthz-ip=x"], "healthz-ip"),
            (["--healthz-port=65536"], "healthz-port"), (["-v=loud"], "v"),
        ])
        func badFlagIsNamedInOneLine(arguments: [String], name: String) async throws {
            let (status, output) = try await run(arguments)
            #expect(status == 2)
            #expect(output.hasPrefix("weftd: ") && output.hasSuffix("\n"))
            #expect(output.split(separator: "\n").count == 1, "\(output)")
            #expect(output.contains(name), "\(output)")
        }

        @Test func badVariableIsNamed() async throws {
            let (status, output) = try await run([], environment: ["FLANNELD_HEALTHZ_PORT": "many"])
            #expect(status == 2)
            #expect(output.contains("FLANNELD_HEALTHZ_PORT") && output.contains("many"), "\(output)")
        }

        @Test func helpAndVersionEndWell() async throws {
            let (status, help) = try await run(["--help"])
            #expect(status == 0 && help.hasPrefix("Usage: ") && help.contains("--etcd-endpoints"))
            let (versionStatus, version) = try await run(["-version"])
            #expect(versionStatus == 0)
            #expect(version.wholeMatch(of: /v[0-9.]+\+weft\.[0-9.]+\n/) != nil, "\(version)")
        }

        @Test func missingCapabilityIsNamed() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let process = try lab.hosts[0].start(wrapper: ["setpriv", "--bounding-set=-net_admin"])
                try await eventually("weftd ends") { process.exitStatus != nil }
                #expect(process.exitStatus == 2)
                #expect(process.log.contains("CAP_NET_ADMIN"), "\(process.log)")
                #expect(try lab.leases().isEmpty)
                #expect(try lab.hosts[0].kernelText().isEmpty)
            }
        }

        @Test func missingCertificateFileIsNamed() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                let process = try host.start([
                    "--etcd-endpoints=https://172.30.0.1:2379", "--etcd-cafile=/nowhere/ca.pem",
                ])
                try await eventually("the file is named") { host.log.contains("/nowhere/ca.pem") }
                process.stop()
            }
        }

        /// The folder of the subnet file cannot be written: said once, tried again, and no READY=1 before.
        @Test func readOnlyRunIsReportedAndRetried() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                let folder = "\(lab.directory)/run"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                let socket = try NotifySocket("\(lab.directory)/notify")
                let process = try host.start(
                    ["--subnet-file=\(folder)/subnet.env"], environment: ["NOTIFY_SOCKET": socket.path],
                    wrapper: ["sh", "-c", "mount -t tmpfs -o ro none \(folder) && exec \"$@\"", "sh"])
                try await host.waitForLog("ERROR", "subnet file", folder)
                try await lab.settle(host)
                #expect(!socket.isReady)
                #expect(host.health("/readyz")?.status == 503)
                #expect(host.health("/readyz")?.body.contains("subnet-file-unwritable") == true)
                try Self.enter(process, "mount -o remount,rw \(folder)")
                try await eventually("READY=1 is sent") { socket.isReady }
                try await host.waitUntilReady()
                #expect(try Self.enter(process, "cat \(folder)/subnet.env").contains("FLANNEL_MTU=1450"))
                #expect(host.logCount("ERROR", "subnet file") == 1)
            }
        }

        @discardableResult
        private static func enter(_ process: BackgroundProcess, _ script: String) throws -> String {
            try DaemonTests.run(["nsenter", "-t", "\(process.pid)", "-m", "sh", "-ec", script])
        }

        /// The interface comes later than the daemon, as at boot.
        @Test func interfaceThatIsNotThereYetIsWaitedFor() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try host.ip("addr flush dev eth0")
                try host.start()
                try await host.waitForLog("waiting for an external interface")
                try await eventually("it is reported") {
                    host.health("/readyz")?.body.contains("no-interface") == true
                }
                try host.ip("addr add \(host.address)/24 dev eth0")
                try host.ip("route replace default via 172.30.0.1")
                try await host.waitForSubnetFile()
                try await lab.settle(host)
                try await host.waitUntilReady()
            }
        }

        @Test func etcdThatIsNotThereYetIsWaitedFor() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                lab.etcd[0].stop()
                try host.start()
                try await host.waitForLog("registry unavailable")
                #expect(host.process?.exitStatus == nil)
                try await lab.etcd[0].start()
                try await host.waitUntilReady()
                try await lab.settle(host)
            }
        }
    }
}
