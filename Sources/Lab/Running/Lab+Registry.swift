import FoundationEssentials

/// The lab's etcd.
extension Lab {
    /// A lease as etcd holds it.
    struct RegisteredLease: Decodable, Sendable {
        struct Data: Decodable, Sendable { let VtepMAC: String? }
        let PublicIP: String
        let BackendData: Data?
    }

    private var etcdPIDFile: String { "\(directory.path)/etcd.pid" }

    /// Starts etcd on the switch, with its data in `dataDirectory`.
    func startRegistry(_ dataDirectory: String) async throws {
        let peer = "http://\(LabPlan.switchAddress):2380"
        let command = Tool.inside(
            plan.switchNamespace,
            [
                plan.etcdPath, "--name=lab", "--data-dir=\(dataDirectory)",
                "--listen-client-urls=\(plan.etcdEndpoint)", "--advertise-client-urls=\(plan.etcdEndpoint)",
                "--listen-peer-urls=\(peer)", "--initial-advertise-peer-urls=\(peer)", "--initial-cluster=lab=\(peer)",
                // A lone member elects itself after one election timeout, 1 s unless told.
                "--heartbeat-interval=20", "--election-timeout=200",
            ])
        try DetachedProcess.spawn(command, log: directory.etcdLog, pidFile: etcdPIDFile)
    }

    /// Stops etcd as a crash would.
    func killRegistry() async throws {
        try await ProcessTable.end(pidFile: etcdPIDFile)
    }

    /// Starts etcd again on the data it had.
    func restartRegistry() async throws {
        guard let data = directory.dataDirectories().first else { throw LabError("etcd's data directory is gone") }
        try await startRegistry(data)
        try await waitForRegistry { try await self.etcdctl(["get", "/"]).succeeded }
    }

    /// Waits for etcd and writes the network config.
    func putConfig() async throws {
        try await waitForRegistry {
            try await self.etcdctl(["put", "\(LabPlan.etcdPrefix)/config", self.plan.networkConfig]).succeeded
        }
    }

    private func waitForRegistry(_ isReady: () async throws -> Bool) async throws {
        let ready = try await Poll.until(.seconds(20)) {
            if try await isReady() { return true }
            return ProcessTable.running(pidFile: etcdPIDFile) == nil ? false : nil
        }
        guard ready == true else {
            throw LabError(
                "etcd does not answer; \(LabDirectory.lastWords(directory.etcdLog))",
                remedy: "etcd was \(plan.etcdPath); --etcd PATH names another (3.4 or later).")
        }
    }

    /// The leases in etcd, by their subnet (`10.5.34.0/24`).
    func registeredLeases() async throws -> [String: RegisteredLease] {
        let outcome = try await etcdctl(["get", "--prefix", "\(LabPlan.etcdPrefix)/subnets/"])
        var leases: [String: RegisteredLease] = [:]
        // Keys and values on alternate lines; a daemon's values have no line breaks.
        let lines = outcome.output.split(separator: "\n")
        for index in stride(from: 0, to: lines.count - 1, by: 2) {
            guard
                let key = lines[index].split(separator: "/").last,
                let lease = try? JSONDecoder().decode(RegisteredLease.self, from: Data(lines[index + 1].utf8))
            else { continue }
            leases[key.split(separator: "-").joined(separator: "/")] = lease
        }
        return leases
    }

    private func etcdctl(_ arguments: [String]) async throws -> Tool.Outcome {
        try await Tool.attempt(
            Tool.inside(
                plan.switchNamespace,
                ["etcdctl", "--endpoints=\(plan.etcdEndpoint)", "--dial-timeout=1s", "--command-timeout=2s"] + arguments
            ))
    }
}
