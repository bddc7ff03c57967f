import ArgumentParser
import EtcdRegistry
import Glibc
import Logging
import Migration

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move a network from etcd's v2 API to v3 while hosts use both.",
        discussion: """
            Shows what it would do, and does it with --yes, or when a terminal says yes. It copies the network config and
            the leases from v2 to v3, each with the time that it has left. With --follow it then keeps both in step, both
            ways, until it is stopped, so that hosts can be moved one at a time. It may be stopped anywhere and run again.

            Each --etcd- option has flannel's variable, such as FLANNELD_ETCD_ENDPOINTS. The exit status is 1 when leases
            are in conflict. docs/migrating.md has the whole way.
            """)

    @OptionGroup(title: "etcd, as for the daemons") var etcd: EtcdOptions

    @Option(
        help: ArgumentHelp("v2's etcd servers, where they are others than v3's.", valueName: "urls"))
    var fromEndpoints: String?

    @Option(help: ArgumentHelp("v2's key, where it is another than v3's.", valueName: "key"))
    var fromPrefix: String?

    @Flag(name: .shortAndLong, help: "Do it without asking.")
    var yes = false

    @Flag(help: "Show the plan and stop. It is what happens without a terminal and without --yes.")
    var dryRun = false

    @Flag(help: "Go on, and keep both in step until stopped.")
    var follow = false

    @Flag(help: "No host is on v2 any more: remove the copies from v2, and what is noted in v3.")
    var finish = false

    func validate() throws {
        if finish, follow { throw ValidationError("--finish ends what --follow keeps up; give one of them") }
        if dryRun, yes { throw ValidationError("--dry-run changes nothing and --yes does; give one of them") }
        if follow, !yes, !dryRun, isatty(STDIN_FILENO) == 0 {
            throw ValidationError("--follow without a terminal to ask at needs --yes")
        }
    }

    func run() async throws {
        let migration = try makeMigration()
        do {
            if finish { return try await end(migration) }
            try await move(migration)
        } catch let failure as MigrationFailure {
            Output.error("\(failure)")
            throw ExitCode.failure
        }
    }

    private func makeMigration() throws -> Migration {
        do {
            let logger = Logger(label: "weft") { StreamLogHandler.standardError(label: $0) }
            return Migration(
                from: V2SubnetStore(
                    configuration: try etcd.configuration(endpoints: fromEndpoints, prefix: fromPrefix), logger: logger),
                to: V3SubnetStore(configuration: try etcd.configuration(), logger: logger))
        } catch let error as EtcdConfigurationError {
            Output.error("\(error)")
            throw ExitCode(2)
        }
    }

    private func move(_ migration: Migration) async throws {
        let plan = try await migration.plan()
        Output.text(MigrationReport.text(plan))
        if plan.steps.isEmpty, !follow {
            Output.line(
                plan.conflicts.isEmpty ? "v3 has all of it." : "Nothing can be done before the conflict is settled.")
        } else {
            guard isConfirmed(plan.steps.isEmpty ? "Follow both?" : "Do it?") else {
                Output.line("Nothing was changed.\(dryRun ? "" : " --yes does it.")")
                throw plan.conflicts.isEmpty ? ExitCode.success : ExitCode.failure
            }
            if follow { return try await follow(migration) }
            let left = try await migration.run { Self.tell($0) }
            for conflict in left.conflicts { Output.line(MigrationReport.line(conflict: conflict)) }
            if !left.steps.isEmpty {
                Output.line("Others keep writing; run it again.")
                throw ExitCode.failure
            }
            if left.conflicts.isEmpty {
                Output.line(
                    "v3 has all of it. Copies last as long as their originals would without renewal: to move hosts,")
                Output.line("run weft migrate --follow, and move them while it runs (docs/migrating.md).")
            }
            if !left.conflicts.isEmpty { throw ExitCode.failure }
        }
        if !plan.conflicts.isEmpty { throw ExitCode.failure }
    }

    private func follow(_ migration: Migration) async throws {
        let isStopped = try await Interruption.watching {
            try await migration.follow { event in
                switch event {
                case .done(let step): Self.tell(step)
                case .unavailable(let failure): Output.line("\(failure); trying again")
                case .settled(let conflicts):
                    for conflict in conflicts { Output.line(MigrationReport.line(conflict: conflict)) }
                    Output.line(
                        conflicts.isEmpty
                            ? "v2 and v3 are in step. Hosts can be moved, one at a time."
                            : "v2 and v3 are in step but for \(conflicts.count) conflicts.")
                }
            }
        }
        if isStopped {
            Output.line("Stopped. Copies last as long as their originals would without renewal; run it again before.")
        }
    }

    private func end(_ migration: Migration) async throws {
        let before = try await migration.planEnd()
        for item in before.onV2 {
            Output.line("  \(MigrationReport.name(item.subject)) is held on v2 by \(item.host ?? "an unknown host")")
        }
        for conflict in before.conflicts { Output.line("  \(MigrationReport.line(conflict: conflict))") }
        guard before.isAllowed else {
            Output.line(
                "Not yet: move these hosts to v3, or let their leases end if they are gone; then run this again.")
            throw ExitCode.failure
        }
        for item in before.reservations {
            Output.line("  reservation \(MigrationReport.name(item.subject)): is \(item.host ?? "its host") on v3?")
        }
        Output.line("\(before.copies.count) copies in v2 and \(before.noteCount) notes in v3 are to be removed.")
        Output.line(
            "Stop weft migrate --follow before. A host that is on v2 all the same would lose sight of the others.")
        guard before.copies.count + before.noteCount > 0 else { return }
        guard isConfirmed("Remove them?") else {
            Output.line("Nothing was changed.\(dryRun ? "" : " --yes does it.")")
            return
        }
        let left = try await migration.finish()
        guard left.isAllowed, left.noteCount == 0 else {
            Output.line("Somebody wrote meanwhile; run it again.")
            throw ExitCode.failure
        }
        Output.line("Done. v2's config and reservations are left; nothing reads them any more.")
    }

    private func isConfirmed(_ question: String) -> Bool {
        if yes { return true }
        guard !dryRun, isatty(STDIN_FILENO) == 1 else { return false }
        Output.text("\(question) [y/N] ")
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }

    private static func tell(_ step: MigrationStep) {
        if !MigrationReport.isQuiet(step) { Output.line(MigrationReport.line(step)) }
    }
}
