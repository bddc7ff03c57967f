import Foundation
import Testing

extension EndToEnd {
    /// The fault table, over the userspace plane of the udp backend.
    @Suite struct UDPHealingTests {
        static let mischief = [
            Mischief(name: "device deleted", script: "ip link del flannel0"),
            Mischief(name: "device deleted twice", script: "ip link del flannel0; sleep 0.02; ip link del flannel0"),
            Mischief(name: "device set down", script: "ip link set flannel0 down"),
            Mischief(name: "MTU changed", script: "ip link set flannel0 mtu 1300"),
            Mischief(name: "address removed", script: "ip addr flush dev flannel0"),
            Mischief(name: "address added", script: "ip addr add 10.99.0.1/24 dev flannel0"),
            Mischief(name: "routes flushed", script: "ip route flush dev flannel0"),
            Mischief(name: "route replaced", script: "ip route replace 10.5.0.0/16 via 172.30.0.1"),
            Mischief(name: "route added on the device", script: "ip route add 10.77.0.0/24 dev flannel0 proto static"),
            Mischief(name: "device renamed", script: "ip link set flannel0 down; ip link set flannel0 name other0"),
            Mischief(
                name: "device renamed while it is up, or as near as the kernel lets",
                script: "ip link set flannel0 name other0 || { ip link set flannel0 down; "
                    + "ip link set flannel0 name other0; ip link set other0 up; }"),
            Mischief(
                name: "device made anew by another",
                script: "ip link del flannel0; ip link add flannel0 type bridge 2>/dev/null || true"),
            Mischief(name: "external interface down and up", script: "ip link set eth0 down; ip link set eth0 up"),
        ]

        @Test func everyBrokenPartHeals() async throws {
            try await TestLab.with(hosts: 3, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                for mischief in Self.mischief {
                    try await containers[0].reach(containers[1])
                    var time = Duration.zero
                    let tally = try await containers[0].pinging(containers[1]) {
                        try host.shell(mischief.script)
                        time = try await lab.settle(host, mischief.name)
                        try await containers[0].reach(containers[1])
                        try host.ip("route replace default via 172.30.0.1")
                    }
                    report(
                        "\(mischief.name): right after \(time.milliseconds), \(tally.lost) of \(tally.sent) pings lost")
                    #expect(try host.shell("ip -o link").contains("other0") == false, "\(mischief.name)")
                }
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }

        /// Packets find the device again that somebody moved to another namespace.
        @Test func aDeviceThatWasTakenAwayIsReplaced() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                try host.shell("ip link set flannel0 netns \(containers[0].namespace)")
                try await lab.settle(host, "has a new device")
                try await containers[0].reach(containers[1])
            }
        }

        @Test func newAddressOfTheExternalInterface() async throws {
            try await TestLab.with(hosts: 3, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let before = try lab.lease(of: host)
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                var moved = before
                moved.publicIP = "172.30.0.111"
                try host.shell(
                    "ip addr add 172.30.0.111/24 dev eth0; ip addr del 172.30.0.11/24 dev eth0; "
                        + "ip addr add 172.30.0.111/24 dev eth0 2>/dev/null || true; "
                        + "ip route replace default via 172.30.0.1")
                try await eventually("the lease is written again") { try lab.leases().contains(moved) }
                try await containers[1].reach(containers[0])
                try await containers[0].reach(containers[2])
                #expect(try host.shell("ss -Hunl sport = :8285").contains("172.30.0.111:8285"))
            }
        }

        /// A port that another has is named with who has it, and taken once it is free.
        @Test func aPortThatIsTaken() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                let script =
                    "import socket,time;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
                    + "s.bind(('0.0.0.0',8285));time.sleep(600)"
                let squatter = try BackgroundProcess(
                    ["ip", "netns", "exec", host.namespace, "python3", "-c", script],
                    log: "\(host.directory)/squatter.log")
                try await eventually("the port is taken") { try !host.shell("ss -Hunl sport = :8285").isEmpty }
                for host in lab.hosts { try host.start() }
                try await host.waitForLog(
                    "ERROR", "the tunnel of the udp backend cannot run", "172.30.0.11 port 8285",
                    "another process has the port", "python3 (pid ")
                let answer = try #require(host.health("/readyz"))
                #expect(answer.status == 503 && answer.body.contains("tunnel-down"), "\(answer)")
                squatter.stop(SIGKILL)
                try await host.waitUntilReady()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
            }
        }

        /// As with a stock flanneld that still runs.
        @Test func aDeviceThatAnotherHas() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                let script =
                    "import fcntl,struct,time;f=open('/dev/net/tun','r+b',buffering=0);"
                    + "fcntl.ioctl(f,0x400454ca,struct.pack('16sH22x',b'flannel0',0x1001));time.sleep(600)"
                let squatter = try BackgroundProcess(
                    ["ip", "netns", "exec", host.namespace, "python3", "-c", script],
                    log: "\(host.directory)/squatter.log")
                try await eventually("the device is there") { try host.shell("ip -o link").contains("flannel0") }
                for host in lab.hosts { try host.start() }
                try await host.waitForLog(
                    "ERROR", "TUN device flannel0", "another process has it", "python3 (pid ")
                squatter.stop(SIGKILL)
                try await host.waitUntilReady()
                try await lab.settle(host, "has a device of its own")
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
            }
        }
    }
}
