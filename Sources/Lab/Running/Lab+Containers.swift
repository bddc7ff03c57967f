import FoundationEssentials
import Glibc
import IPNetwork
import LinuxSystem

/// The lab's containers, of either engine.
extension Lab {
    /// Starts the containers of `hosts`, all hosts at once.
    func startContainers(_ hosts: [LabHost]) async throws {
        try await BusyboxRoot.prepare(directory.busybox)
        let applets = try await BusyboxRoot.applets(directory.busybox)
        let directory = directory
        let engine = plan.engine
        let subnets = try hosts.map { try subnet($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (host, subnet) in zip(hosts, subnets) {
                group.addTask {
                    switch engine {
                    case .namespaces:
                        try await Self.startNamespaceContainers(host, subnet, directory, applets)
                    case .docker:
                        try await DockerEngine(host: host, directory: directory).start(subnet, applets: applets)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func startNamespaceContainers(
        _ host: LabHost, _ subnet: SubnetFile, _ directory: LabDirectory, _ applets: [String]
    ) async throws {
        try await Tool.require(
            ["ip", "-batch", "-"], input: host.containers.map { "netns add \($0.namespace)\n" }.joined())
        try await Tool.apply(host.bridgeScript(subnet))
        for container in host.containers {
            try await Tool.apply(try container.networkScript(subnet))
            let root = directory.root(container)
            try BusyboxRoot.make(root, busybox: directory.busybox, applets: applets, greeting: container.qualifiedName)
            let command = Tool.inside(
                container.namespace,
                [
                    "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--root=\(root)",
                    "--mount-proc", "/init", container.qualifiedName,
                ])
            try DetachedProcess.spawn(command, log: "\(root).log")
        }
    }

    /// The containers of `hosts` that run, with their addresses.
    func runningContainers() async throws -> [RunningContainer] {
        var found: [RunningContainer] = []
        for host in plan.hosts {
            switch plan.engine {
            case .namespaces:
                guard let subnet = try? subnet(host) else { continue }
                for container in host.containers {
                    found.append(
                        RunningContainer(
                            container: container, address: try subnet.address(ofContainer: container.number),
                            namespace: NetworkNamespace(named: container.namespace)))
                }
            case .docker:
                found += try await DockerEngine(host: host, directory: directory).containers()
            }
        }
        return found
    }

    /// The command that opens a shell, or runs `command`, on a host (`h1`) or in a container (`h1/c2`).
    ///
    /// - Throws: ``LabError`` that names what there is when `place` is none of it.
    public func enterCommand(_ place: String, command: [String]) throws -> [String] {
        let parts = place.split(separator: "/", omittingEmptySubsequences: false)
        let host = try host(named: parts.count <= 2 ? parts[0] : place[...])
        guard parts.count == 2 else {
            let prompt = ["env", "PS1=\(host.name) (lab host) # "]
            return Tool.inside(host.namespace, command.isEmpty ? prompt + ["bash", "--norc", "--noprofile"] : command)
        }
        guard let container = host.containers.first(where: { $0.name == parts[1] }) else {
            throw LabError(
                "\(place): no such container", remedy: "\(host.name) has c1 to c\(plan.containersPerHost).")
        }
        let prompt = "PS1=\(container.qualifiedName):\\w # "
        if plan.engine == .docker {
            let docker = DockerEngine(host: host, directory: directory)
            return docker.command(["exec", command.isEmpty ? "-it" : "-i", "-e", prompt, container.name])
                + (command.isEmpty ? ["sh"] : command)
        }
        let processes = ProcessTable.processes(inNamespaces: [container.namespace])[container.namespace] ?? []
        guard let first = processes.first(where: { $0.isNested && $0.innerID == 1 }) else {
            throw LabError(
                "\(container.qualifiedName) does not run", remedy: "weft lab down and weft lab up start afresh.")
        }
        let enter = [
            "nsenter", "--target", "\(first.id)", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--",
            "/bin/env", "-i", "PATH=/bin", "HOME=/", "TERM=linux", prompt,
        ]
        return enter + (command.isEmpty ? ["sh"] : command)
    }
}

extension Lab {
    /// The log file of a host's daemon (`h1`), or of etcd (`etcd`).
    public func logPath(_ place: String) throws -> String {
        if place == "etcd" { return directory.etcdLog }
        return directory.daemonLog(try host(named: place))
    }

    /// - Throws: ``LabError`` that names the hosts there are.
    func host(named name: some StringProtocol) throws(LabError) -> LabHost {
        guard let host = plan.hosts.first(where: { $0.name == name }) else {
            throw LabError(
                "\(name): no such host",
                remedy: plan.hostCount == 1 ? "There is h1." : "There are h1 to h\(plan.hostCount).")
        }
        return host
    }
}
