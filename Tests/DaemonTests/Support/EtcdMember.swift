import Foundation
import LinuxSystem
import Synchronization

/// An etcd server in the lab's switch namespace, which keeps its data when it is stopped and started again.
final class EtcdMember: Sendable {
    let name: String
    let address: String
    private let namespace: String
    private let directory: String
    private let cluster: String
    private let options: [String]
    private let process = Mutex<BackgroundProcess?>(nil)

    var url: String { "http://\(address):2379" }
    var client: EtcdClient { EtcdClient(namespace: NetworkNamespace(named: namespace), address: address) }

    /// - Parameter members: the addresses of all members of the cluster.
    init(namespace: String, address: String, members: [String], directory: String, options: [String] = []) {
        self.options = options
        self.namespace = namespace
        self.address = address
        self.directory = directory
        name = "m\(address)"
        cluster = members.map { "m\($0)=http://\($0):2380" }.joined(separator: ",")
    }

    func launch() throws {
        let process = try BackgroundProcess(
            [
                "ip", "netns", "exec", namespace, "/usr/bin/etcd", "--name", name, "--data-dir", "\(directory)/\(name)",
                "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls",
                "http://\(address):2380", "--initial-advertise-peer-urls", "http://\(address):2380",
                "--initial-cluster", cluster, "--logger", "zap", "--unsafe-no-fsync", "--max-txn-ops", "10000",
                "--enable-v2",
                "--heartbeat-interval", "50", "--election-timeout", "500",
            ] + options, log: "\(directory)/\(name).log")
        self.process.withLock { $0 = process }
    }

    func start() async throws {
        try launch()
        try await waitUntilHealthy()
    }

    func waitUntilHealthy() async throws {
        try await eventually("etcd at \(url) answers") { client.answers }
    }

    func stop(_ signal: Int32 = SIGKILL) {
        process.withLock { process in
            process?.stop(signal)
            process = nil
        }
    }
}
