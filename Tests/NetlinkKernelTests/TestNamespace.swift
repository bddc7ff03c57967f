import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Synchronization
import Testing

/// A network namespace for one test, removed at its end.
final class TestNamespace: Sendable {
    private static let count = Atomic(0)

    let name: String
    let socket: NetlinkRouteSocket
    var namespace: NetworkNamespace { NetworkNamespace(named: name) }

    init() throws {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        name = "nltest-\(getpid())-\(number)"
        try run("ip", "netns", "add", name)
        socket = try NetlinkRouteSocket(namespace: NetworkNamespace(named: name))
    }

    deinit { try? run("ip", "netns", "del", name) }

    /// iproute2 in the namespace.
    func ip(_ arguments: String) throws {
        try run("ip", ["-n", name] + arguments.split(separator: " ").map(String.init))
    }

    func bridge(_ arguments: String) throws {
        try run("bridge", ["-n", name] + arguments.split(separator: " ").map(String.init))
    }

    /// Carries out requests of which none may fail.
    func apply(_ requests: RouteRequest...) throws {
        let failures = try socket.execute(requests)
        #expect(failures.isEmpty, "\(failures)")
    }

    func link(_ name: String) throws -> Link? { try socket.links().first { $0.name.text == name } }

    /// An up veth interface with a peer that is up as well, so that it has a carrier.
    func makeVeth(_ name: String = "eth0") throws -> Int32 {
        let interface = try #require(InterfaceName(name))
        let peer = try #require(InterfaceName(name + "-p"))
        try apply(.createLink(NewLink(name: interface, kind: .veth(peer: VethPeer(name: peer)), isUp: true)))
        let other = try #require(try link(peer.text))
        try apply(.changeLink(LinkChange(index: other.index, isUp: true)))
        return try #require(try link(name)).index
    }
}

struct CommandFailure: Error {
    var command: String
    var status: Int32
}

func run(_ program: String, _ arguments: String...) throws { try run(program, arguments) }

func run(_ program: String, _ arguments: [String]) throws {
    let command = ([program] + arguments).joined(separator: " ")
    var pid = pid_t()
    var pointers: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    guard posix_spawnp(&pid, program, nil, nil, pointers, environ) == 0 else {
        throw CommandFailure(command: command, status: -1)
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {}
    guard status == 0 else { throw CommandFailure(command: command, status: status) }
}

extension Trait where Self == ConditionTrait {
    static var needsRoot: Self { .enabled(if: getuid() == 0, "needs root") }
}
