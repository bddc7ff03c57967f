import Foundation
import Lab
import Testing

/// What a cluster is moved away from.
private enum OldDaemon: CaseIterable, CustomTestStringConvertible {
    case stock
    case weftd

    static var available: [OldDaemon] { allCases.filter { $0 == .weftd || StockDaemon.v2 != nil } }

    var testDescription: String { self == .stock ? "flannel v0.11" : "weftd --etcd-api v2" }

    func start(_ host: LabHost, peers: Int) async throws {
        if self == .stock {
            try await #require(StockDaemon.v2).start(host, peers: peers)
        } else {
            try host.start(["--etcd-api=v2"])
            try await host.waitForSubnetFile()
        }
    }

    /// Starts it where weftd has left routes and rules.
    func startAgain(_ host: LabHost) throws {
        if self == .stock {
            try host.start(program: #require(StockDaemon.v2).path)
        } else {
            try host.start(["--etcd-api=v2"])
        }
    }
}

extension TestLab {
    private static var weft: String {
        "/" + LabHost.binary.split(separator: "/").dropLast().joined(separator: "/") + "/weft"
    }

    fileprivate func migrateCommand(_ flags: [String]) -> [String] {
        ["ip", "netns", "exec", switchNamespace, Self.weft, "migrate", "--etcd-endpoints", endpoints] + flags
    }

    fileprivate func migrate(_ flags: String...) throws -> String { try run(migrateCommand(flags)) }

    @discardableResult
    fileprivate func v2(_ words: String...) throws -> String {
        try run(
            ["ip", "netns", "exec", switchNamespace, "env", "ETCDCTL_API=2", "etcdctl", "--endpoints", endpoints]
                + words)
    }

    /// The value of a lease in v2, empty when there is none.
    fileprivate func valueOnV2(_ name: String) -> String {
        ((try? v2("get", key(name))) ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    fileprivate func valueOnV3(_ name: String) throws -> String {
        try client.get(key(name)).map { String(decoding: $0.value, as: UTF8.self) } ?? ""
    }
}

/// Pings along all paths while `body` runs.
///
/// - Returns: those that lost something, with what they lost.
private func pinging(
    _ paths: ArraySlice<(LabContainer, LabContainer)>, _ body: () async throws -> Void
) async throws -> [String] {
    guard let (source, destination) = paths.first else {
        try await body()
        return []
    }
    var losses: [String] = []
    let tally = try await source.pinging(destination) { losses = try await pinging(paths.dropFirst(), body) }
    return tally.lost == 0 && tally.received > 0
        ? losses : losses + ["\(source.namespace) to \(destination.address): \(tally)"]
}

extension EndToEnd {
    @Suite struct MigrationTests {
        @Test(arguments: OldDaemon.available)
        fileprivate func movesHostByHostWithoutLoss(old: OldDaemon) async throws {
            try await TestLab.with(hosts: 3, config: nil, etcdOptions: ["--enable-v2"]) { lab in
                try lab.v2("set", "\(TestLab.prefix)/config", TestLab.vxlan)
                for (index, host) in lab.hosts.enumerated() { try await old.start(host, peers: index) }
                let containers = try lab.hosts.map { try $0.addContainer() }
                let pairs = containers.indices.flatMap { source in
                    containers.indices.filter { $0 != source }.map { (containers[source], containers[$0]) }
                }
                for (source, destination) in pairs { try await source.reach(destination) }
                let subnets = lab.hosts.map { $0.subnetFileValue("FLANNEL_SUBNET") }
                let names = subnets.map { subnet in
                    (subnet ?? "").split(separator: ".").dropLast().joined(separator: ".") + ".0-24"
                }

                let follow = try BackgroundProcess(
                    lab.migrateCommand(["--follow", "--yes"]), log: "\(lab.directory)/migrate.log")
                defer { follow.stop() }
                try await eventually("both are in step") { follow.log.contains("are in step") }
                #expect(try lab.leases().count == 3)

                /// Moves a host to v3, or back.
                func move(_ index: Int, toV3 isToV3: Bool) async throws {
                    let host = lab.hosts[index]
                    host.stop(SIGTERM)
                    if isToV3 {
                        try host.start(["--etcd-api=v3"])
                        try await host.waitUntilReady()
                        try await lab.settle(host, "on v3")
                    } else {
                        try old.startAgain(host)
                    }
                    try await eventually("the host leads where it is now") {
                        try lab.migrate().split(separator: "\n").contains {
                            $0.contains(names[index]) && $0.contains("same  \(isToV3 ? "v3" : "v2") leads")
                        }
                    }
                    let value = lab.valueOnV2(names[index])
                    #expect(try value.contains(host.address) && value == lab.valueOnV3(names[index]))
                }
                for index in lab.hosts.indices {
                    let losses = try await pinging(pairs[...]) { try await move(index, toV3: true) }
                    #expect(losses.isEmpty, "host \(index + 1) to v3")
                }
                var losses = try await pinging(pairs[...]) { try await move(0, toV3: false) }
                #expect(losses.isEmpty, "host 1 back to v2")
                #expect(throws: Failure.self, "a host is on v2") { try lab.migrate("--finish", "--yes") }
                losses = try await pinging(pairs[...]) {
                    try await move(0, toV3: true)
                    #expect(follow.stop(SIGTERM) == 0)
                    _ = try lab.migrate("--finish", "--yes")
                    try await eventually("v2 has no copies") { names.allSatisfy { lab.valueOnV2($0).isEmpty } }
                }
                #expect(losses.isEmpty, "host 1 to v3 again, and the end of it")
                #expect(try lab.client.list(prefix: "\(TestLab.prefix)/weft-migration/").isEmpty)
                #expect(
                    lab.hosts.map { $0.subnetFileValue("FLANNEL_SUBNET") } == subnets, "every host keeps its subnet")
                #expect(try Set(lab.leases().map(\.name)) == Set(names))
                for host in lab.hosts { try await lab.settle(host, "at the end") }
                #expect(!follow.log.contains("conflict") && !follow.log.contains("trying again"))
            }
        }

        @Test func showsBeforeItDoes() async throws {
            try await TestLab.with(hosts: 0, config: nil, etcdOptions: ["--enable-v2"]) { lab in
                let missing = #expect(throws: Failure.self) { try lab.migrate("--yes") }
                #expect(missing?.description.contains("v2 has no network config") == true)
                try lab.v2("set", "\(TestLab.prefix)/config", TestLab.vxlan)
                let lease =
                    #"{"PublicIP":"172.30.0.11","BackendType":"vxlan","BackendData":{"VtepMAC":"8e:00:00:00:00:01"}}"#
                try lab.v2("set", "--ttl", "36000", lab.key("10.5.1.0-24"), lease)
                let plan = try lab.migrate()
                #expect(plan.contains("10.5.1.0-24  172.30.0.11  copy to v3  9 h 59 min left"), "\(plan)")
                #expect(plan.contains("Nothing was changed"))
                #expect(try lab.valueOnV3("10.5.1.0-24") == "")
                #expect(try lab.migrate("--yes").contains("v3 has all of it"))
                #expect(try lab.valueOnV3("10.5.1.0-24") == lease)
                #expect(try lab.migrate().contains("v3 has all of it"))

                try lab.v2("set", "--ttl", "36000", lab.key("10.5.2.0-24"), lease)
                try lab.client.put(lab.key("10.5.2.0-24"), lease.replacing("0.11", with: "0.12"))
                let conflict = #expect(throws: Failure.self) { try lab.migrate("--yes") }
                #expect(conflict?.description.contains("status 1") == true)
                #expect(conflict?.description.contains("v3 has it for 172.30.0.12") == true)
                #expect(conflict?.description.contains("remedy:") == true)

                let wrong = #expect(throws: Failure.self) {
                    try run(lab.migrateCommand(["--etcd-prefix", "network"]))
                }
                #expect(wrong?.description.contains("status 2") == true)
                let away = #expect(throws: Failure.self) {
                    try run(lab.migrateCommand(["--from-endpoints", "http://127.0.0.1:1"]))
                }
                #expect(away?.description.contains("v2: http://127.0.0.1:1") == true)
            }
        }
    }
}
