import FoundationEssentials
import Glibc

/// Removes a lab, whatever is left of it: everything is found by name, so that it also works after a kill half way, a
/// lost state file or a reboot.
public enum LabTeardown {
    /// Removes the lab called `name`.
    ///
    /// - Returns: `false` when there was nothing to remove.
    public static func run(_ name: String) async throws -> Bool {
        try LabPlan.check(name: name)
        guard geteuid() == 0 else {
            throw LabError("removing a lab needs root", remedy: "Run the same command with sudo.")
        }
        let lock = try LabLock(LabDirectory(lab: name))
        let found = findsRemains(of: name)
        if found { try await removeEverything(of: name) }
        lock.deleteFile()
        return found
    }

    static func findsRemains(of name: String) -> Bool {
        let directory = LabDirectory(lab: name)
        return !namespaces(of: name).isEmpty || FileManager.default.fileExists(atPath: directory.path)
            || !directory.dataDirectories().isEmpty
    }

    static func removeEverything(of name: String) async throws {
        let directory = LabDirectory(lab: name)
        let namespaces = namespaces(of: name)
        let remaining = try await Poll.until(.seconds(10)) {
            let processes = processes(of: name, namespaces)
            for process in processes { kill(process, SIGKILL) }
            return processes.isEmpty ? true : nil
        }
        guard remaining != nil else {
            throw LabError(
                "processes of the lab \(name) do not end: \(processes(of: name, namespaces))",
                remedy: "Try again: weft lab down")
        }
        if !namespaces.isEmpty {
            try await Tool.require(
                ["ip", "-force", "-batch", "-"], input: namespaces.map { "netns delete \($0)\n" }.joined())
        }
        for mountPoint in mountPoints(below: directory.path).reversed() { umount2(mountPoint, CInt(MNT_DETACH)) }
        // The processes of Docker containers end after their engine, whose PID namespace they are in.
        _ = try await Poll.until(.seconds(5)) { removeControlGroups(name) ? true : nil }
        // Succeeds only when it is empty, so not when another engine uses it.
        rmdir(DockerEngine.runtimeDirectory)
        for path in [directory.path] + directory.dataDirectories() where FileManager.default.fileExists(atPath: path) {
            do {
                try FileManager.default.removeItem(atPath: path)
            } catch {
                throw LabError("\(path): cannot be removed: \(error)")
            }
        }
    }

    private static func namespaces(of name: String) -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
        return all.filter { LabPlan.owns(namespace: $0, lab: name) }.sorted()
    }

    /// The processes in the lab's namespaces, and those whose command line names the lab's files and whose network
    /// namespace is not ours (its name may have been deleted).
    private static func processes(of name: String, _ namespaces: [String]) -> [pid_t] {
        let directory = LabDirectory(lab: name)
        let inside = ProcessTable.processes(inNamespaces: namespaces).values.joined().map(\.id)
        let mentioning = ProcessTable.foreignProcesses(
            mentioning: ["\(directory.path)/", "\(LabDirectory.temporaryParent)/\(name)-etcd."])
        return Set(inside).union(mentioning).filter(ProcessTable.isRunning).sorted()
    }

    /// Removes the control groups of Docker containers, in each hierarchy, the deepest first.
    ///
    /// - Returns: whether none is left.
    private static func removeControlGroups(_ name: String) -> Bool {
        let base = "/sys/fs/cgroup"
        let hierarchies =
            [base] + ((try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []).map { "\(base)/\($0)" }
        let tops = hierarchies.map { $0 + LabDirectory(lab: name).controlGroup }
        for top in tops {
            // A control group is removed by rmdir(2), its files with it; so no recursive removal.
            removeDirectories(top)
        }
        return tops.allSatisfy { access($0, F_OK) != 0 }
    }

    private static func removeDirectories(_ path: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
            var status = stat()
            let child = "\(path)/\(name)"
            if lstat(child, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { removeDirectories(child) }
        }
        rmdir(path)
    }

    private static func mountPoints(below path: String) -> [String] {
        (LabDirectory.read("/proc/self/mountinfo") ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[4].hasPrefix(path + "/") else { return nil }
            return String(fields[4])
        }
    }
}
