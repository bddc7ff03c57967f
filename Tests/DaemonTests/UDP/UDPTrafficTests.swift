import Foundation
import IPNetwork
import Testing

/// What must come through an overlay of the udp backend, from one container to another.
enum UDPTraffic {
    /// TCP with a checksum at both ends, 64 MiB unless TUNNEL_TCP_MIB says so.
    static func tcp(from client: LabContainer, to server: LabContainer) async throws {
        let size = ProcessInfo.processInfo.environment["TUNNEL_TCP_MIB"] ?? "64"
        try await exchange(from: client, to: server, serving: tcpServer, asking: tcpClient, [size])
    }

    /// UDP of every size to 3,000 bytes, and then of some up to the largest; of all when TUNNEL_UDP_SIZES is `all`.
    static func datagrams(from client: LabContainer, to server: LabContainer) async throws {
        let isAll = ProcessInfo.processInfo.environment["TUNNEL_UDP_SIZES"] == "all"
        try await exchange(
            from: client, to: server, serving: udpServer, asking: udpClient, [isAll ? "1" : "1999"])
    }

    /// Runs a server and waits until a client has checked its answers; a start that was too early is made again.
    private static func exchange(
        from client: LabContainer, to server: LabContainer, serving: String, asking: String, _ words: [String]
    ) async throws {
        let log = "\(NSTemporaryDirectory())/\(server.namespace)-server-\(UInt32.random(in: 0...(.max)))"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let process = try BackgroundProcess(
            ["ip", "netns", "exec", server.namespace, "python3", "-c", serving, "\(server.address)"] + words, log: log)
        defer { process.stop() }
        try await eventually("the server listens") { process.log.contains("listening") }
        let answer = try run(
            ["ip", "netns", "exec", client.namespace, "python3", "-c", asking, "\(server.address)"] + words)
        #expect(answer == "good\n")
    }

    private static let tcpServer = """
        import hashlib,os,socket,struct,sys
        s=socket.create_server((sys.argv[1],5301)); print("listening",flush=True); c,_=s.accept()
        def receive(n):
            h=hashlib.sha256()
            while n:
                d=c.recv(min(n,1<<20)); n-=len(d); h.update(d)
                if not d: sys.exit("early end")
            return h.digest()
        n=int(sys.argv[2])<<20; c.sendall(receive(n))
        h=hashlib.sha256()
        for _ in range(n>>20):
            d=os.urandom(1<<20); h.update(d); c.sendall(d)
        c.sendall(h.digest())
        """
    private static let tcpClient = """
        import hashlib,os,socket,sys
        c=socket.create_connection((sys.argv[1],5301),10); c.settimeout(60); n=int(sys.argv[2]); h=hashlib.sha256()
        for _ in range(n):
            d=os.urandom(1<<20); h.update(d); c.sendall(d)
        def receive(n,h=None):
            b=b""
            while n:
                d=c.recv(min(n,1<<20)); n-=len(d)
                if not d: sys.exit("early end")
                if h: h.update(d)
                else: b+=d
            return b
        good=receive(32)==h.digest()
        h=hashlib.sha256(); receive(n<<20,h); good=good and receive(32)==h.digest()
        print("good" if good else "bad checksum")
        """
    private static let udpServer = """
        import socket,sys
        s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET,33,8<<20)
        s.bind((sys.argv[1],5302)); print("listening",flush=True)
        while True:
            d,a=s.recvfrom(65536); s.sendto(d[::-1],a)
        """
    /// A datagram that is lost to a full buffer is sent again: it is the form that is tested.
    private static let udpClient = """
        import os,socket,sys
        s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET,33,8<<20); s.settimeout(1)
        s.connect((sys.argv[1],5302)); step=int(sys.argv[2])
        pad=os.urandom(65507)
        for n in list(range(0,3001))+list(range(3001,65500,step))+list(range(65500,65508)):
            d=pad[:n]
            for attempt in range(20):
                s.send(d)
                try:
                    if s.recv(65536)==d[::-1]: break
                except TimeoutError: pass
            else: sys.exit("no good answer for %d bytes"%n)
        print("good")
        """
}

extension EndToEnd {
    /// Over the userspace plane, weftd at both ends.
    @Suite struct UDPTrafficTests {
        @Test func everythingComesThrough() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                try await UDPTraffic.tcp(from: containers[0], to: containers[1])
                try await UDPTraffic.datagrams(from: containers[1], to: containers[0])
                // A subnet of nobody's: the sender is told, as flannel means to tell it.
                let source = containers[0].namespace
                func ping(_ words: String) throws -> String {
                    try run(["ip", "netns", "exec", source, "sh", "-c", "ping -n -c 2 -W 2 \(words) 2>&1 || true"])
                }
                #expect(try ping("10.5.250.1").contains("Destination Net Unreachable"))
                // A container that believes in 1,500 is told what fits.
                try run(["ip", "-n", lab.hosts[0].namespace, "link", "set", "docker0", "mtu", "1500"])
                try run(["ip", "-n", lab.hosts[0].namespace, "link", "set", "cv", "mtu", "1500"])
                try run(["ip", "-n", source, "link", "set", "eth0", "mtu", "1500"])
                #expect(try ping("-M do -s 1472 \(containers[1].address)").contains("mtu = 1472"))
                #expect(try ping("-M do -s 1444 \(containers[1].address)").contains(" 0% packet loss"))
            }
        }

        /// A stranger's datagrams are counted and go nowhere, unless the network says that nothing is to be checked.
        @Test(arguments: [true, false])
        func strangersAreKeptOut(isChecked: Bool) async throws {
            let config = TestLab.udp.replacing("}}", with: #","PeerCheck":\#(isChecked)}}"#)
            try await TestLab.with(hosts: 3, config: config) { lab in
                let host = lab.hosts[0]
                for host in lab.hosts[..<2] { try host.start() }
                for host in lab.hosts[..<2] { try await host.waitUntilReady() }
                let container = try host.addContainer()
                let listener = try BackgroundProcess(
                    [
                        "ip", "netns", "exec", container.namespace, "python3", "-c",
                        "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('',5303));"
                            + "print('listening',flush=True);print(s.recv(99),flush=True)",
                    ], log: "\(host.directory)/listener.log")
                try await eventually("the container listens") { listener.log.contains("listening") }
                // An IP packet with UDP to the container, in a datagram from a host without a lease.
                let packet = """
                    import socket,struct
                    p=struct.pack('!HHHH',7,5303,8+5,0)+b'hello'
                    h=struct.pack('!BBHHHBBH4s4s',0x45,0,20+len(p),1,0,64,17,0,socket.inet_aton('10.5.77.7'),
                        socket.inet_aton('\(container.address)'))
                    s=sum(struct.unpack('!10H',h)); s=(s&0xffff)+(s>>16); s=(s&0xffff)+(s>>16)
                    h=h[:10]+struct.pack('!H',0xffff^s)+h[12:]
                    socket.socket(socket.AF_INET,socket.SOCK_DGRAM).sendto(h+p,('\(host.address)',8285))
                    """
                try await eventually("the packet is dropped, or comes through") {
                    try lab.hosts[2].shell("python3 -c \"\(packet)\"")
                    try await Task.sleep(for: .milliseconds(50))
                    guard isChecked else { return listener.log.contains("hello") }
                    let page = host.health("/metrics")?.body ?? ""
                    return page.split(separator: "\n").contains {
                        $0.hasPrefix("weft_tunnel_dropped_packets_total{reason=\"unknown-peer\"}")
                            && !$0.hasSuffix(" 0")
                    }
                }
                #expect(listener.log.contains("hello") == !isChecked)
                if isChecked { #expect(host.health("/readyz")?.body.contains("unknown-peer") == true) }
            }
        }

        @Test(arguments: [true, false])
        func dualStackAndIPv6Alone(hasIPv4: Bool) async throws {
            let config = DualStack.config(#"{"Type":"udp","DataPlane":"userspace"}"#, hasIPv4: hasIPv4)
            try await TestLab.with(hosts: 2, config: config) { lab in
                for host in lab.hosts { try host.addIPv6() }
                for host in lab.hosts { try host.start() }
                for host in lab.hosts { try await host.waitUntilReady() }
                #expect(lab.hosts[0].subnetFileValue("FLANNEL_MTU") == "1452")
                let containers = try lab.hosts.map { try DualContainer(on: $0) }
                try await containers[0].reach(containers[1])
                try await containers[1].reach(containers[0])
                for script in [
                    "ip link del flannel0", "ip -6 addr flush dev flannel0 scope global",
                    "ip -6 route flush dev flannel0",
                    "ip link set flannel0 down", "sysctl -qw net.ipv6.conf.flannel0.disable_ipv6=1",
                ] {
                    try lab.hosts[0].shell(script)
                    try await containers[0].reach(containers[1])
                }
                lab.hosts[0].stop(SIGKILL)
                try lab.hosts[0].start()
                try await containers[0].reach(containers[1])
                for host in lab.hosts { #expect(host.logCount("ERROR") == 0, "\(host.log)") }
            }
        }
    }
}
