import FoundationEssentials
import Glibc
import IPNetwork
import LinuxSystem

/// A lab on this machine: carries out a ``LabPlan`` and looks at the result.
public actor Lab {
    /// What the lab is now; it follows hosts that are added.
    public private(set) var plan: LabPlan
    let directory: LabDirectory

    private init(plan: LabPlan) {
        self.plan = plan
        directory = LabDirectory(lab: plan.name)
    }

    /// The lab called `name`, which has to be up.
    public static func running(_ name: String) throws -> Lab {
        try LabPlan.check(name: name)
        try requireRoot()
        guard let plan = LabDirectory(lab: name).plan(), isPresent(plan) else {
            throw LabError("no lab called \(name) is up", remedy: "weft lab up starts one.")
        }
        return Lab(plan: plan)
    }

    /// Starts the lab of `plan`, from nothing.
    ///
    /// When it fails or is cancelled, what was made is removed again before this throws.
    public static func start(_ plan: LabPlan, progress: ProgressPrinter) async throws -> Lab {
        try requireRoot()
        try requireTools(plan)
        let directory = LabDirectory(lab: plan.name)
        let lock = try LabLock(directory)
        if let present = directory.plan(), isPresent(present) {
            throw LabError(
                "the lab \(plan.name) is up already, with \(Format.count(present.hostCount, "host"))",
                remedy: "Look at it with weft lab status, or remove it first: weft lab down")
        }
        if LabTeardown.findsRemains(of: plan.name) {
            try await progress.step("removing what an interrupted lab left behind") {
                try await LabTeardown.removeEverything(of: plan.name)
                return "removed what an interrupted lab had left behind"
            }
        }
        progress.heading("Starting the lab \(plan.name)")
        let lab = Lab(plan: plan)
        do {
            try await lab.build(progress)
        } catch {
            // Not in this task: when it was cancelled, the programs run for the clean-up would be killed at once.
            let name = plan.name
            try await Task.detached { try await LabTeardown.removeEverything(of: name) }.value
            lock.deleteFile()
            throw Task.isCancelled ? LabError("interrupted; what was made of the lab is removed again") : error
        }
        return lab
    }

    /// Adds hosts to a lab that is up.
    public func add(hosts count: Int, progress: ProgressPrinter) async throws {
        let lock = try LabLock(directory)
        let larger = try plan.adding(hosts: count)
        let new = Array(larger.hosts.suffix(count))
        plan = larger
        // Saved first, so that a failure half way leaves hosts that `status` shows and `down` removes.
        try directory.save(larger)
        try await addHosts(new, progress)
        try await waitForRoutes(progress)
        withExtendedLifetime(lock) {}
    }

    private static func requireRoot() throws {
        guard geteuid() == 0 else {
            throw LabError(
                "the lab makes network namespaces, which needs root", remedy: "Run the same command with sudo.")
        }
    }

    /// Whether the namespaces of the plan are there; after a reboot or a kill they may not be.
    private static func isPresent(_ plan: LabPlan) -> Bool {
        ([plan.switchNamespace] + plan.hosts.map(\.namespace)).allSatisfy {
            access("/run/netns/\($0)", F_OK) == 0
        }
    }

    private static func requireTools(_ plan: LabPlan) throws {
        var needed = ["ip", "bridge", "nsenter", "unshare", "setsid", "busybox", "etcdctl", "nft"]
        if plan.engine == .docker { needed += ["dockerd", "docker"] }
        let missing = needed.filter { Tool.find($0) == nil }
        guard missing.isEmpty else {
            throw LabError(
                "not installed: \(missing.joined(separator: ", "))",
                remedy: "Scripts/install-dependencies.sh installs what the lab needs"
                    + (plan.engine == .docker ? "; Docker is yours to install (package docker.io)." : "."))
        }
        for (path, option) in [(plan.daemonPath, "--daemon"), (plan.etcdPath, "--etcd")]
        where !FileManager.default.isExecutableFile(atPath: path) {
            throw LabError("\(path): no such program", remedy: "Name one with \(option) PATH.")
        }
    }

    // MARK: - Building

    private func build(_ progress: ProgressPrinter) async throws {
        try LabDirectory.make(directory.path)
        let hosts = plan.hosts
        try await progress.step("making the switch") {
            try await Tool.require(["ip", "netns", "add", plan.switchNamespace])
            try await Tool.apply(plan.switchScript())
            return "a switch: namespace \(plan.switchNamespace)"
        }
        try await progress.step("starting etcd") {
            try await startRegistry(directory.makeDataDirectory())
            try await putConfig()
            return "etcd at \(plan.etcdEndpoint), with the config \(plan.networkConfig)"
        }
        try await addHosts(hosts, progress)
        try await waitForRoutes(progress)
        try directory.save(plan)
    }

    private func addHosts(_ hosts: [LabHost], _ progress: ProgressPrinter) async throws {
        try await progress.step("making \(Format.count(hosts.count, "host"))") {
            try await Tool.require(
                ["ip", "-batch", "-"], input: hosts.map { "netns add \($0.namespace)\n" }.joined())
            try await Tool.apply(plan.cableScript(for: hosts))
            for host in hosts {
                try LabDirectory.make(directory.path(host))
                try NetworkNamespace(named: host.namespace).run { try Sysctl.write("net/ipv4/ip_forward", "1") }
                try await Tool.apply(host.uplinkScript())
            }
            let names = hosts.map { "\($0.name) \($0.address)" }
            return StepEnd(Self.list(names, "host"))
        }
        let program = plan.daemonPath.split(separator: "/").last.map(String.init) ?? plan.daemonPath
        try await progress.step("starting \(program) on \(Format.count(hosts.count, "host"))") {
            for host in hosts { try startDaemon(host) }
            var leases: [String] = []
            for host in hosts { leases.append("\(try await waitForSubnet(host).gateway.prefix)") }
            let place = hosts.count == 1 ? "on \(hosts[0].name)" : "on each host"
            return "\(program) \(place); \(leases.count == 1 ? "lease" : "leases") \(Self.list(leases, "lease"))"
        }
        let count = hosts.reduce(0) { $0 + $1.containers.count }
        try await progress.step("starting \(Format.count(count, "container"))") {
            try await startContainers(hosts)
            let kind = plan.engine == .docker ? "Docker container" : "container"
            let place = hosts.count == 1 ? " on \(hosts[0].name)" : ", \(plan.containersPerHost) on each host"
            return "\(Format.count(count, kind))\(place)"
        }
    }

    private static func list(_ names: [String], _ noun: String) -> String {
        names.count <= 4
            ? names.joined(separator: ", ") : "\(names[0]) to \(names[names.count - 1]), \(names.count) \(noun)s"
    }

    // MARK: - Daemons

    /// Starts the host's daemon; its log is appended to.
    func startDaemon(_ host: LabHost) throws {
        let command = Tool.inside(
            host.namespace,
            [
                plan.daemonPath, "--etcd-endpoints=\(plan.etcdEndpoint)", "--iface=eth0", "--ip-masq",
                "--subnet-file=\(directory.subnetFile(host))",
            ])
        try DetachedProcess.spawn(command, log: directory.daemonLog(host), pidFile: directory.daemonPID(host))
    }

    /// Waits up to 30 s for the host's subnet file.
    ///
    /// - Throws: ``LabError`` with the end of the daemon's log when the daemon has ended, or time is up.
    @discardableResult
    func waitForSubnet(_ host: LabHost) async throws -> SubnetFile {
        let file = directory.subnetFile(host)
        let found = try await Poll.until(.seconds(30)) {
            if LabDirectory.read(file) != nil { return true }
            return ProcessTable.running(pidFile: self.directory.daemonPID(host)) == nil ? true : nil
        }
        guard found != nil, LabDirectory.read(file) != nil else {
            let fate = found == nil ? "took no lease within 30 s" : "ended"
            throw LabError(
                "the daemon on \(host.name) \(fate); \(LabDirectory.lastWords(directory.daemonLog(host)))",
                remedy: "The daemon was \(plan.daemonPath); --daemon PATH names another.")
        }
        return try subnet(host)
    }

    func subnet(_ host: LabHost) throws -> SubnetFile {
        guard let text = LabDirectory.read(directory.subnetFile(host)) else {
            throw LabError("\(host.name) has no subnet file yet")
        }
        return try SubnetFile(text)
    }

    /// Waits until each host has a route to every other; carries on after 15 s, since the ping matrix tells.
    private func waitForRoutes(_ progress: ProgressPrinter) async throws {
        let expected = plan.hostCount - 1
        guard expected > 0 else { return }
        try await progress.step("waiting for the routes") {
            let hosts = plan.hosts
            let device = plan.tunnelDevice
            let done = try await Poll.until(.seconds(15)) {
                for host in hosts {
                    let state = try await HostState.read(
                        namespace: host.namespace, device: device, readsFirewall: false)
                    if state.routes.count < expected { return nil as Bool? }
                }
                return true
            }
            if done == nil {
                return StepEnd(
                    "not every host has its \(Format.count(expected, "route")) after 15 s; going on", isGood: false)
            }
            return expected == 1
                ? "each host has a route to the other" : "each host has routes to the \(expected) others"
        }
    }
}
