import FoundationEssentials
import Glibc
import Testing

@testable import Lab

/// The daemon to run in labs, from the environment.
private let daemon = ProcessInfo.processInfo.environment["WEFT_LAB_DAEMON"] ?? ""

@Suite(
    .serialized, .enabled(if: getuid() == 0, "needs root"),
    .enabled(if: !daemon.isEmpty, "needs WEFT_LAB_DAEMON, the path of a weftd or flanneld"))
struct LabLifecycleTests {
    private let quiet = ProgressPrinter(style: TextStyle(isColoured: false), isTerminal: false) { _ in }

    /// Takes the lab down whatever happens in `body`, and checks that all is as it was before.
    private func withLab(_ name: String, _ body: (LabPlan) async throws -> Void) async throws {
        _ = try await LabTeardown.run(name)
        let before = try await Surroundings.read(lab: name)
        let plan = try LabPlan(
            name: name, hostCount: 2, containersPerHost: 1, backend: .vxlan, engine: .namespaces, daemonPath: daemon,
            etcdPath: try #require(Tool.find("etcd")))
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(plan)) } catch { outcome = .failure(error) }
        _ = try await LabTeardown.run(name)
        try outcome.get()
        let after = try await Surroundings.read(lab: name)
        #expect(before.links == after.links)
        #expect(before.routes == after.routes)
        #expect(before.firewall == after.firewall)
        #expect(before.settings == after.settings)
        #expect(after.remains.isEmpty)
    }

    @Test func containersReachEachOtherAndNothingIsLeft() async throws {
        try await withLab("weft-test-a") { plan in
            let lab = try await Lab.start(plan, progress: quiet)
            #expect(try await lab.pingMatrix().isComplete)
            #expect(try await lab.pingMatrix().names == ["c1.h1", "c1.h2"])
            await #expect(throws: LabError.self) { try await Lab.start(plan, progress: quiet) }
            try await lab.add(hosts: 1, progress: quiet)
            let matrix = try await lab.pingMatrix()
            #expect(matrix.names.count == 3)
            #expect(matrix.isComplete)
            #expect(try await lab.hostReports().allSatisfy { $0.state.routes.count == 2 && $0.daemonRuns })
            let name = try await Tool.require(try await lab.enterCommand("h2/c1", command: ["hostname"]))
            #expect(name == "c1.h2\n")
        }
    }

    @Test func aCancelledStartLeavesNothing() async throws {
        try await withLab("weft-test-b") { plan in
            let quiet = quiet
            let task = Task { try await Lab.start(plan, progress: quiet) }
            _ = try await Poll.until(.seconds(20)) {
                access("/run/netns/weft-test-b-h2", F_OK) == 0 ? true : nil
            }
            task.cancel()
            await #expect(throws: (any Error).self) { _ = try await task.value }
            #expect(!LabTeardown.findsRemains(of: plan.name))
        }
    }

    @Test func aLabWithoutItsFilesIsRemovedByName() async throws {
        try await withLab("weft-test-c") { plan in
            _ = try await Lab.start(plan, progress: quiet)
            try FileManager.default.removeItem(atPath: LabDirectory(lab: plan.name).path)
            #expect(throws: LabError.self) { try Lab.running(plan.name) }
            #expect(try await LabTeardown.run(plan.name))
        }
    }

    @Test func aDaemonThatEndsIsQuotedAndTheLabRemoved() async throws {
        try await withLab("weft-test-d") { plan in
            let broken = try LabPlan(
                name: plan.name, hostCount: 1, containersPerHost: 1, backend: .vxlan, engine: .namespaces,
                daemonPath: "/bin/false", etcdPath: plan.etcdPath)
            let error = await #expect(throws: LabError.self) { try await Lab.start(broken, progress: quiet) }
            #expect(error?.cause.contains("the daemon on h1 ended") == true)
        }
    }
}

/// What a lab must not change.
private struct Surroundings {
    var links: String
    var routes: String
    var firewall: String
    var settings: [String: String?]
    /// Namespaces, files and processes of the lab.
    var remains: [String]

    static func read(lab: String) async throws -> Surroundings {
        let keys = [
            "net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/default/forwarding",
            "net/core/somaxconn",
        ]
        let directory = LabDirectory(lab: lab)
        let files = [directory.path, directory.lockPath].filter { FileManager.default.fileExists(atPath: $0) }
        let namespaces = try await Tool.require(["ip", "netns", "list"]).split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix(lab + "-") }
        return Surroundings(
            links: try await Tool.require(["ip", "address", "show"]),
            routes: try await Tool.require(["ip", "route", "show", "table", "all"]),
            firewall: try await Tool.require(["nft", "--stateless", "list", "ruleset"]),
            settings: Dictionary(uniqueKeysWithValues: keys.map { ($0, LabDirectory.read("/proc/sys/\($0)")) }),
            remains: files + namespaces + directory.dataDirectories()
                + ProcessTable.foreignProcesses(mentioning: ["\(directory.path)/"]).map { "process \($0)" })
    }
}
