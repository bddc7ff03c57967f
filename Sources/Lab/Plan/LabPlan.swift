import IPNetwork

/// What a lab consists of: a switch, hosts and containers, with every name and address fixed beforehand.
///
/// A pure value. ``Lab`` carries it out; `weft lab down` finds what is left of one by the names alone.
public struct LabPlan: Hashable, Sendable, Codable {
    /// How flannel's packets travel between hosts.
    public enum Backend: String, CaseIterable, Hashable, Sendable, Codable {
        case vxlan
        case hostGateway = "host-gw"
    }

    /// What a container is made of.
    public enum Engine: String, Hashable, Sendable, Codable {
        /// Namespaces and a root directory of busybox.
        case namespaces
        /// A Docker engine per host.
        case docker
    }

    /// 1 to 32 lower-case letters, digits and hyphens, starting with a letter.
    public let name: String
    /// 1 to 200.
    public private(set) var hostCount: Int
    /// 1 to 100.
    public let containersPerHost: Int
    /// What the network config in etcd says.
    public let backend: Backend
    /// The same for every container.
    public let engine: Engine
    /// The path of the daemon that each host runs.
    public let daemonPath: String
    /// The path of the etcd server.
    public let etcdPath: String

    /// The block that leases are cut from.
    public static let network = "10.5.0.0/16"
    /// The prefix of etcd keys, flannel's default.
    public static let etcdPrefix = "/coreos.com/network"
    static let switchAddress = IPv4Address(172, 30, 0, 1)
    static let hostPrefixLength = 24
    static let hostLimit = 1...200
    static let containerLimit = 1...100

    /// - Throws: ``LabError`` that names the value and what is allowed.
    public init(
        name: String, hostCount: Int, containersPerHost: Int, backend: Backend, engine: Engine, daemonPath: String,
        etcdPath: String
    ) throws(LabError) {
        try Self.check(name: name)
        try Self.check(hostCount: hostCount)
        guard Self.containerLimit.contains(containersPerHost) else {
            throw LabError(
                "--containers \(containersPerHost): from 1 to \(Self.containerLimit.upperBound) are possible")
        }
        self.name = name
        self.hostCount = hostCount
        self.containersPerHost = containersPerHost
        self.backend = backend
        self.engine = engine
        self.daemonPath = daemonPath
        self.etcdPath = etcdPath
    }

    /// - Throws: ``LabError`` unless `name` can be part of the name of a network namespace and of a directory.
    public static func check(name: String) throws(LabError) {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard
            (1...32).contains(name.utf8.count), let first = name.utf8.first, letters.contains(first),
            name.utf8.allSatisfy({ letters.contains($0) || digits.contains($0) || $0 == UInt8(ascii: "-") })
        else {
            throw LabError("--name \(name): 1 to 32 lower-case letters, digits and hyphens, a letter first")
        }
    }

    private static func check(hostCount: Int) throws(LabError) {
        guard hostLimit.contains(hostCount) else {
            throw LabError("\(hostCount) hosts: from 1 to \(hostLimit.upperBound) are possible")
        }
    }

    /// The same lab with `count` more hosts, numbered after the present ones.
    public func adding(hosts count: Int) throws(LabError) -> LabPlan {
        try Self.check(hostCount: hostCount + count)
        var plan = self
        plan.hostCount += count
        return plan
    }

    /// The namespace that holds the bridge between the hosts, and etcd.
    public var switchNamespace: String { "\(name)-switch" }
    /// Where clients reach etcd.
    public var etcdEndpoint: String { "http://\(Self.switchAddress):2379" }
    /// The hosts, h1 first.
    public var hosts: [LabHost] {
        (1...hostCount).map { LabHost(lab: name, number: $0, containers: containersPerHost) }
    }

    /// The network config that daemons read from etcd.
    public var networkConfig: String {
        #"{"Network":"\#(Self.network)","Backend":{"Type":"\#(backend.rawValue)"}}"#
    }

    /// The device through which a host reaches the others' containers.
    public var tunnelDevice: String? { backend == .vxlan ? "flannel.1" : nil }

    /// Whether `namespace` is one that a lab called `lab` makes.
    public static func owns(namespace: String, lab: String) -> Bool {
        guard namespace.hasPrefix(lab + "-") else { return false }
        let rest = namespace.dropFirst(lab.count + 1)
        if rest == "switch" { return true }
        let parts = rest.split(separator: "-", omittingEmptySubsequences: false)
        func isNumbered(_ part: Substring, _ letter: Character) -> Bool {
            part.first == letter && part.count > 1 && part.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
        }
        switch parts.count {
        case 1: return isNumbered(parts[0], "h")
        case 2: return isNumbered(parts[0], "h") && isNumbered(parts[1], "c")
        default: return false
        }
    }
}

/// One host of a lab: a network namespace with `eth0` on the switch.
public struct LabHost: Hashable, Sendable {
    /// Counted from 1.
    public let number: Int
    /// `h1`.
    public let name: String
    /// The network namespace, for `ip netns`.
    public let namespace: String
    /// The address of `eth0`: 172.30.0.(10 + number).
    public let address: IPv4Address
    /// Numbered from 1, in order.
    public let containers: [LabContainer]

    init(lab: String, number: Int, containers: Int) {
        self.number = number
        let name = "h\(number)"
        self.name = name
        namespace = "\(lab)-\(name)"
        address = IPv4Address(rawValue: LabPlan.switchAddress.rawValue + 9 + UInt32(number))
        self.containers = (1...containers).map { LabContainer(lab: lab, host: name, number: $0) }
    }
}

/// One container of a host.
public struct LabContainer: Hashable, Sendable {
    /// Counted from 1.
    public let number: Int
    /// `c1`.
    public let name: String
    /// The name of the host it runs on.
    public let host: String
    /// The network namespace, for `ip netns`; a Docker container's has no name and is found by its process.
    public let namespace: String
    /// `c1.h2`, also the host name inside.
    public var qualifiedName: String { "\(name).\(host)" }

    init(lab: String, host: String, number: Int) {
        self.number = number
        self.host = host
        name = "c\(number)"
        namespace = "\(lab)-\(host)-c\(number)"
    }
}
