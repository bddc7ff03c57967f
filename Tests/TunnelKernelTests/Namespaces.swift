import Glibc
import IPNetwork
import LinuxSystem
import Synchronization
import Testing
import Tunnel

struct CommandFailure: Error {
    var command: String
    var status: Int32
}

@discardableResult
func run(_ command: String, mayFail: Bool = false) throws -> Int32 {
    let words = command.split(separator: " ").map(String.init)
    var pid = pid_t()
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    if mayFail { posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) }
    guard let program = words.first, posix_spawnp(&pid, program, &actions, nil, pointers, environ) == 0 else {
        throw CommandFailure(command: command, status: -1)
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {}
    guard mayFail || status == 0 else { throw CommandFailure(command: command, status: status) }
    return status
}

extension Trait where Self == ConditionTrait {
    static var needsRoot: Self {
        .enabled(if: getuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0, "needs root and /dev/net/tun")
    }
}

/// Two hosts on one cable, a container on each, and a tunnel between them. Host 1 has 10.0.1.0/24 and fd00:1::/64, its
/// container 10.0.1.2 and fd00:1::2; host 2 likewise. Outside they are 192.0.2.1 and .2, 2001:db8::1 and ::2.
final class TwoHosts: Sendable {
    private static let count = Atomic(0)

    let hosts: [String]
    let containers: [String]

    init() throws {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        let name = "tun-\(getpid())-\(number)"
        hosts = ["\(name)-1", "\(name)-2"]
        containers = ["\(name)-1c", "\(name)-2c"]
        for namespace in hosts + containers {
            try run("ip netns add \(namespace)")
            try run("ip -n \(namespace) link set lo up")
        }
        try run("ip -n \(hosts[0]) link add eth0 type veth peer name eth0 netns \(hosts[1])")
        for index in 0..<2 {
            let host = hosts[index]
            let container = containers[index]
            let own = index + 1
            try run("ip -n \(host) addr add 192.0.2.\(own)/24 dev eth0")
            try run("ip -n \(host) addr add 2001:db8::\(own)/64 dev eth0 nodad")
            try run("ip -n \(host) link set eth0 up")
            try run("ip netns exec \(host) sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
            try run("ip -n \(host) link add c0 type veth peer name eth0 netns \(container)")
            try run("ip -n \(host) addr add 10.0.\(own).1/24 dev c0")
            try run("ip -n \(host) addr add fd00:\(own)::1/64 dev c0 nodad")
            try run("ip -n \(host) link set c0 mtu 1400 up")
            try run("ip -n \(container) addr add 10.0.\(own).2/24 dev eth0")
            try run("ip -n \(container) addr add fd00:\(own)::2/64 dev eth0 nodad")
            try run("ip -n \(container) link set eth0 mtu 1400 up")
            try run("ip -n \(container) route add default via 10.0.\(own).1")
            try run("ip -n \(container) route add default via fd00:\(own)::1")
        }
    }

    deinit { for namespace in hosts + containers { _ = try? run("ip netns del \(namespace)", mayFail: true) } }

    func configuration(
        _ host: Int, overIPv6: Bool = false, offloads: TunnelOffloads = .all, queues: Int = 1
    ) throws -> TunnelConfiguration {
        TunnelConfiguration(
            device: try #require(InterfaceName("flannel0")), endpoints: [try outside(host, overIPv6)], port: 8285,
            addresses: [try #require(IPAddress("10.0.\(host).0")), try #require(IPAddress("fd00:\(host)::"))],
            queues: queues, offloads: offloads)
    }

    func outside(_ host: Int, _ isIPv6: Bool = false) throws -> IPAddress {
        try #require(IPAddress(isIPv6 ? "2001:db8::\(host)" : "192.0.2.\(host)"))
    }

    /// What host 1 or 2 knows: the other one.
    func table(_ host: Int, overIPv6: Bool = false) throws -> NextHopTable {
        let peer = try outside(3 - host, overIPv6)
        let hops = try ["10.0.\(3 - host).0/24", "fd00:\(3 - host)::/64"].map {
            NextHop(prefix: try #require(IPPrefix($0)), endpoint: peer, port: 8285)
        }
        return NextHopTable(
            hops, local: try ["10.0.\(host).0/24", "fd00:\(host)::/64"].map { try #require(IPPrefix($0)) })
    }

    /// Starts the tunnel of a host and configures its device as the daemon would, unless it is there.
    func start(_ host: Int, _ configuration: TunnelConfiguration, _ table: NextHopTable) throws -> Tunnel {
        let tunnel = try attach(host, configuration, table)
        let ip = "ip -n \(hosts[host - 1])"
        try run("\(ip) addr replace 10.0.\(host).0/32 dev flannel0")
        try run("\(ip) addr replace fd00:\(host)::/128 dev flannel0 nodad")
        try run("\(ip) link set flannel0 mtu 1400 up")
        try run("\(ip) route replace 10.0.0.0/16 dev flannel0")
        try run("\(ip) route replace fd00::/16 dev flannel0")
        return tunnel
    }

    /// Only the tunnel: addresses, routes and state of the device stay as they are.
    func attach(_ host: Int, _ configuration: TunnelConfiguration, _ table: NextHopTable) throws -> Tunnel {
        for _ in 0..<500 {
            do {
                return try NetworkNamespace(named: hosts[host - 1]).run { try Tunnel(configuration, nextHops: table) }
            } catch TunnelError.socket(_, _, let cause) where cause.code == EADDRINUSE {
                // A child that another test is starting holds the port of the one before until its exec,
                usleep(10_000)
            } catch TunnelError.device(_, let cause) where cause.code == EBUSY {
                // or the device.
                usleep(10_000)
            }
        }
        return try NetworkNamespace(named: hosts[host - 1]).run { try Tunnel(configuration, nextHops: table) }
    }

    /// Both tunnels.
    func start(overIPv6: Bool = false, offloads: TunnelOffloads = .all, queues: Int = 1) throws -> [Tunnel] {
        try [1, 2].map { host in
            try start(
                host, configuration(host, overIPv6: overIPv6, offloads: offloads, queues: queues),
                table(host, overIPv6: overIPv6))
        }
    }
}
