import FoundationEssentials
import IPNetwork
import LinuxSystem

/// A Docker engine of one host's own: data, sockets and processes apart from any other engine on the machine.
///
/// It is the first process of a PID and a mount namespace, so that containers and mounts end with it.
struct DockerEngine: Sendable {
    let host: LabHost
    let directory: LabDirectory

    private static let image = "weft-lab-busybox"

    /// Where an engine keeps sockets of plugins, whatever its options.
    static let runtimeDirectory = "/run/docker"

    /// Keeps what an engine writes outside its own directories (/etc/docker/key.json, /run/docker) in a mount of its own.
    private static let launcher = """
        mkdir -p "$1/etc" "$1/etc-work" \(runtimeDirectory)
        mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/etc-work" /etc
        mount -t tmpfs tmpfs \(runtimeDirectory)
        shift
        exec "$@"
        """

    /// The `docker` command for this engine.
    func command(_ arguments: [String]) -> [String] {
        ["docker", "--host", "unix://\(directory.dockerSocket(host))"] + arguments
    }

    /// Starts the engine with the host's lease and, in it, the host's containers.
    func start(_ subnet: SubnetFile, applets: [String]) async throws {
        let base = directory.path(host)
        // Not by "ip netns exec", whose own /sys hides the mounted control groups.
        let engine =
            ["nsenter", "--net=/run/netns/\(host.namespace)", "--"] + [
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", Self.launcher,
                "sh", base,
                "dockerd",
                "--host=unix://\(directory.dockerSocket(host))", "--data-root=\(base)/docker",
                "--exec-root=\(base)/docker-exec", "--pidfile=\(base)/dockerd.pid", "--bip=\(subnet.gateway)",
                "--mtu=\(subnet.mtu)", "--ip-masq=false", "--live-restore=false",
                "--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=\(directory.controlGroup)",
            ]
        try DetachedProcess.spawn(engine, log: directory.dockerLog(host), pidFile: directory.dockerPID(host))
        let ready = try await Poll.until(.seconds(30), every: .milliseconds(100)) {
            if try await Tool.attempt(command(["version"])).succeeded { return true }
            return ProcessTable.running(pidFile: directory.dockerPID(host)) == nil ? false : nil
        }
        guard ready == true else {
            throw LabError(
                "the Docker engine of \(host.name) does not start; "
                    + LabDirectory.lastWords(directory.dockerLog(host)),
                remedy: "Without --docker, containers are namespaces and need no engine.")
        }
        let root = "\(base)/image"
        try BusyboxRoot.make(root, busybox: directory.busybox, applets: applets, greeting: host.name)
        try await Tool.require(["tar", "-C", root, "-cf", "\(root).tar", "."])
        try await Tool.require(command(["import", "\(root).tar", Self.image]))
        for container in host.containers {
            try await Tool.require(
                command([
                    "run", "--detach", "--name", container.name, "--hostname", container.qualifiedName, Self.image,
                    "/bin/httpd",
                    "-f", "-p", "80", "-h", "/www",
                ]))
        }
    }

    /// The engine's containers that run.
    func containers() async throws -> [RunningContainer] {
        let entries = ProcessTable.processes(inNamespaces: [host.namespace])[host.namespace] ?? []
        guard let first = entries.first(where: { $0.isNested && $0.innerID == 1 }) else { return [] }
        let format = "{{.NetworkSettings.IPAddress}} {{.State.Pid}}"
        var found: [RunningContainer] = []
        for container in host.containers {
            let outcome = try await Tool.attempt(command(["inspect", "--format", format, container.name]))
            let fields = outcome.output.split(whereSeparator: \.isWhitespace)
            guard fields.count == 2, let address = IPv4Address(fields[0]), let process = Int32(fields[1]), process > 0
            else {
                continue
            }
            // The process id counts in the engine's PID namespace, which the /proc of its mount namespace shows.
            let namespace = NetworkNamespace(path: "/proc/\(first.id)/root/proc/\(process)/ns/net")
            found.append(RunningContainer(container: container, address: address, namespace: namespace))
        }
        return found
    }
}
