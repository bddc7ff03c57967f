import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Synchronization
import Testing

@testable import Containers

/// A host and a container as two network namespaces, and records in a directory of their own.
final class AttachGround: Sendable {
    private static let count = Atomic(0)

    let host: String
    let container: String
    let directory: String
    let attacher: Attacher

    init(faults: (@Sendable (Attacher.FaultPoint) throws(AttachError) -> Void)? = nil) throws {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        host = "ath-\(getpid())-\(number)"
        container = "atc-\(getpid())-\(number)"
        directory = "/tmp/weft-attach-test.\(getpid()).\(number)"
        attacher = Self.attacher(host, directory, faults)
        for each in [host, container] {
            try Self.run("ip", "netns", "add", each)
            try Self.run("ip", "-n", each, "link", "set", "lo", "up")
        }
        // The host's cable, and the container's first interface with the default route.
        try Self.run("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", "cable")
        try Self.run("ip", "-n", host, "link", "set", "cable", "up")
        try Self.run("ip", "-n", host, "link", "set", "eth0", "up")
        try Self.run("ip", "-n", container, "link", "add", "eth0", "type", "veth", "peer", "name", "cable")
        try Self.run("ip", "-n", container, "link", "set", "cable", "up")
        try Self.run("ip", "-n", container, "link", "set", "eth0", "up")
        try Self.run("ip", "-n", container, "addr", "add", "192.0.2.2/24", "dev", "eth0")
        try Self.run("ip", "-n", container, "route", "add", "default", "via", "192.0.2.1")
    }

    private static func attacher(
        _ host: String, _ directory: String, _ faults: (@Sendable (Attacher.FaultPoint) throws(AttachError) -> Void)?
    ) -> Attacher {
        var attacher = Attacher(
            stateDirectory: directory, runDirectory: directory, program: "/bin/true",
            hostNamespace: NetworkNamespace(named: host))
        attacher.faults = faults
        return attacher
    }

    /// The same records with another fault.
    func attacher(faults: (@Sendable (Attacher.FaultPoint) throws(AttachError) -> Void)?) -> Attacher {
        Self.attacher(host, directory, faults)
    }

    deinit {
        for each in [host, container] { try? Self.run("ip", "netns", "del", each) }
        try? Self.run("rm", "-rf", directory)
    }

    /// pipework's words but for the container.
    func request(_ words: String, kept: Bool = false) throws -> AttachmentRequest {
        let line = words.replacing("W", with: "netns:\(container)").split(separator: " ").map(String.init)
        guard case .attach(var request) = try PipeworkCommandLine(parsing: line, exists: { self.hasLink($0) }) else {
            throw AttachError("no attachment: \(words)")
        }
        request.isKept = kept
        return request
    }

    private func hasLink(_ name: String) -> Bool { attacher.hasInterface(name) }

    func network(_ name: String) throws -> NetlinkRouteSocket {
        try NetlinkRouteSocket(namespace: NetworkNamespace(named: name))
    }

    /// All that an attachment could change, as text.
    func snapshot() throws -> [String] {
        var lines: [String] = []
        for name in [host, container] {
            let socket = try network(name)
            for link in try socket.links() {
                lines.append(
                    "\(name == host ? "host" : "container") \(link.name) \(link.kind?.name ?? "-") mtu \(link.mtu) "
                        + "\(link.hardwareAddress.map { "\($0)" } ?? "-") up \(link.flags.contains(.up)) "
                        + "in \(link.controller ?? 0)")
                for address in try socket.addresses(interface: link.index) where address.scope != .link {
                    lines.append("\(link.name) \(address.address)/\(address.prefixLength)")
                }
            }
            // By names: an interface that went and came back has another number.
            let names = Dictionary(uniqueKeysWithValues: try socket.links().map { ($0.index, $0.name) })
            for route in try socket.routes(RouteFilter(table: Route.mainTable))
            where route.destination.v4 != nil || route.destination.length == 0 {
                lines.append(SavedRoute(route, names: names).map { "\($0)" } ?? "\(route)")
            }
        }
        return lines.sorted()
    }

    /// Lines that were there and are gone, or that are new.
    func changes(since before: [String]) throws -> [String] {
        try snapshot().difference(from: before).map { change in
            switch change {
            case .insert(_, let line, _): "+ \(line)"
            case .remove(_, let line, _): "- \(line)"
            }
        }
    }

    func records() -> [AttachmentRecord] { attacher.store.load().records }

    static func run(_ program: String, _ arguments: String...) throws {
        var pid = pid_t()
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        guard posix_spawnp(&pid, program, nil, nil, words, environ) == 0 else { throw AttachError("no \(program)") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {}
        guard status == 0 else { throw AttachError("\(program) \(arguments.joined(separator: " ")) failed") }
    }
}

extension Trait where Self == ConditionTrait {
    static var needsRoot: Self { .enabled(if: getuid() == 0, "needs root") }
}
