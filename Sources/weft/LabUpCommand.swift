import ArgumentParser
import FoundationEssentials
import Lab

struct LabUpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start a lab, show it, and leave it up."
    )

    @Option(help: "How many hosts.")
    var hosts = 3

    @Option(help: "How many containers on each host.")
    var containers = 2

    @Option(help: "How packets travel between hosts: vxlan or host-gw.")
    var backend = LabPlan.Backend.vxlan

    @Option(help: ArgumentHelp("The etcd server to run.", valueName: "path"))
    var etcd: String?

    @Option(
        help: ArgumentHelp(
            "The daemon to run on each host: weftd or a flanneld. (default: the weftd beside weft)", valueName: "path"))
    var daemon: String?

    @Flag(help: "Use real Docker containers, with an engine per host, where dockerd is installed.")
    var docker = false

    @OptionGroup var name: LabName

    func run() async throws {
        let plan = try LabPlan(
            name: name.value, hostCount: hosts, containersPerHost: containers, backend: backend,
            engine: docker ? .docker : .namespaces, daemonPath: try daemonPath(), etcdPath: etcdPath())
        let progress = ProgressPrinter.standardOutput
        let command = CommandLine.arguments.first ?? "weft"
        try await Interruption.cancelling {
            let lab = try await Lab.start(plan, progress: progress)
            let report = LabReport(plan: plan)
            let isComplete = try await report.printTables(of: lab)
            if let throughput = try await lab.throughput() { print(report.throughput(throughput), terminator: "") }
            print(report.explanation(), terminator: "")
            print(report.suggestions(command: command), terminator: "")
            if !isComplete {
                throw LabError(
                    "not every container reaches every other",
                    remedy: "The lab is up all the same; \(command) lab logs h1 shows what a daemon says.")
            }
        }
    }

    private func daemonPath() throws -> String {
        if let daemon { return Self.absolute(daemon) }
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let directory = own.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        let path = "\(directory)/weftd"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw LabError("\(path): no such program", remedy: "Build it (make), or name a daemon with --daemon PATH.")
        }
        return path
    }

    private func etcdPath() -> String {
        guard let etcd else { return "/usr/bin/etcd" }
        return Self.absolute(etcd)
    }

    /// Daemons are started elsewhere, so a relative path is resolved here.
    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}

extension LabReport {
    /// Prints the hosts, their routes and the ping matrix.
    ///
    /// - Returns: whether every container reaches every other.
    @discardableResult
    func printTables(of lab: Lab) async throws -> Bool {
        let hosts = try await lab.hostReports()
        print(hostTable(hosts), routes(hosts), separator: "", terminator: "")
        let pings = try await lab.pingMatrix()
        print(matrix(pings), terminator: "")
        return pings.isComplete
    }
}
