import Glibc
import LinuxSystem
import Netlink
import Synchronization
import Testing

@testable import Containers

/// A failure, or the end of the process, before or after every single step leaves nothing behind.
@Suite(.needsRoot) struct FaultTests {
    static let lines = [
        "br7 W 10.9.0.2/24@10.9.0.1 02:00:00:00:00:07", "br7 W 10.9.0.2/32@10.8.0.1",
        "eth0 W 10.9.0.2/24@10.9.0.1", "--direct-phys eth0 -i lan W 10.9.0.2/24@10.9.0.1 02:00:00:00:00:55",
    ]

    @Test(arguments: lines, [false, true]) func everyStep(_ line: String, isKilled: Bool) async throws {
        let ground = try AttachGround()
        try AttachGround.run("ip", "-n", ground.host, "addr", "add", "10.9.1.1/24", "dev", "eth0")
        let request = try ground.request(line)
        let before = try ground.snapshot()
        var points = 0
        for position in 0..<20 {
            for point in [Attacher.FaultPoint.before(position), .after(position)] {
                let reached = Flag()
                let attacher = ground.attacher { now throws(AttachError) in
                    guard now == point else { return }
                    reached.set()
                    throw isKilled ? Attacher.killed : AttachError("injected")
                }
                do {
                    _ = try await attacher.attach(request)
                } catch {
                    if isKilled {
                        _ = try await ground.attacher.reconcile()
                    } else {
                        #expect(error.message == "injected")
                    }
                }
                guard reached.isSet else {
                    #expect(points > 4)
                    _ = try await ground.attacher.detach(request.container)
                    #expect(try ground.changes(since: before).isEmpty)
                    return
                }
                points += 1
                #expect(try ground.changes(since: before).isEmpty, "\(point)")
                #expect(ground.records().isEmpty, "\(point)")
            }
        }
        Issue.record("more steps than there can be")
    }

    /// What undoes must not be cut short: a client has time to end by itself.
    @Test func interrupted() async throws {
        let ground = try AttachGround()
        let before = try ground.snapshot()
        let request = try ground.request("br7 W 10.9.0.2/24@10.9.0.1")
        let attacher = ground.attacher { point throws(AttachError) in
            if point == .after(2) { withUnsafeCurrentTask { $0?.cancel() } }
        }
        let error = await #expect(throws: AttachError.self) {
            try await Task { try await attacher.attach(request) }.value
        }
        #expect(error?.message == "interrupted; nothing was changed")
        #expect(try ground.changes(since: before).isEmpty)
        #expect(ground.records().isEmpty)
    }

    @Test func processesHaveTimeToEnd() async throws {
        let ground = try AttachGround()
        // It says that it ended by itself, which takes it a while.
        let script =
            "trap 'sleep 0.3; echo done > \(ground.directory)/ended; exit 0' TERM; "
            + "echo up > \(ground.directory)/up; while :; do sleep 0.05; done"
        try StateFile.makeDirectory(ground.directory)
        let process = try DetachedProcess.start(["/bin/sh", "-c", script], log: "\(ground.directory)/log")
        while (try? TextFile.read("\(ground.directory)/up"))?.isEmpty != false { usleep(10_000) }
        let ended = await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await DetachedProcess.end(process)
        }.value
        #expect(ended)
        #expect((try? TextFile.read("\(ground.directory)/ended")) != nil)
    }
}

private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}
