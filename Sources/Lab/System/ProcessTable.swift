import FoundationEssentials
import Glibc

/// The processes of this machine, looked up by the network namespace they are in.
enum ProcessTable {
    /// A process and the number it has in its own PID namespace.
    struct Entry: Hashable, Sendable {
        let id: pid_t
        /// 1 for a container's first process.
        let innerID: pid_t
        /// Whether it is in a PID namespace below ours.
        let isNested: Bool
    }

    /// The identity of a file, a namespace's above all: device and inode.
    struct FileID: Hashable, Sendable {
        let device: UInt
        let inode: UInt

        init?(path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = status.st_dev
            inode = status.st_ino
        }
    }

    /// The processes in each of the network namespaces called `names`.
    static func processes(inNamespaces names: [String]) -> [String: [Entry]] {
        var wanted: [FileID: String] = [:]
        for name in names {
            if let identity = FileID(path: "/run/netns/\(name)") { wanted[identity] = name }
        }
        var found: [String: [Entry]] = [:]
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard
                let process = pid_t(entry), let identity = FileID(path: "/proc/\(entry)/ns/net"),
                let name = wanted[identity]
            else { continue }
            let inner = innerIDs(of: process)
            let last = inner.last ?? process
            found[name, default: []].append(Entry(id: process, innerID: last, isNested: inner.count > 1))
        }
        return found
    }

    /// Processes outside our own network namespace whose command line has one of `texts` in it.
    static func foreignProcesses(mentioning texts: [String]) -> [pid_t] {
        let own = FileID(path: "/proc/self/ns/net")
        return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { entry in
            guard
                let process = pid_t(entry), let identity = FileID(path: "/proc/\(entry)/ns/net"), identity != own,
                let command = LabDirectory.read("/proc/\(entry)/cmdline"),
                texts.contains(where: { command.contains($0) })
            else { return nil }
            return process
        }
    }

    /// Whether a process exists and has not ended.
    static func isRunning(_ process: pid_t) -> Bool {
        guard let text = LabDirectory.read("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
            return false
        }
        let state = text[text.index(after: end)...].first { $0 != " " }
        return state != "Z" && state != "X"
    }

    /// A process id from a file, if that process still runs.
    static func running(pidFile: String) -> pid_t? {
        guard
            let text = LabDirectory.read(pidFile), let process = pid_t(text.trimmingLines), isRunning(process)
        else { return nil }
        return process
    }

    /// Kills the process whose id is in a file, and waits until it is gone.
    static func end(pidFile: String) async throws {
        guard let process = running(pidFile: pidFile) else { throw LabError("\(pidFile): its process does not run") }
        kill(process, SIGKILL)
        let gone = try await Poll.until(.seconds(5), every: .milliseconds(2)) { isRunning(process) ? nil : true }
        guard gone != nil else { throw LabError("process \(process) does not end") }
    }

    /// The ids of a process from our PID namespace down to its own.
    private static func innerIDs(of process: pid_t) -> [pid_t] {
        guard
            let status = LabDirectory.read("/proc/\(process)/status"),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("NSpid:") })
        else { return [] }
        return line.split(whereSeparator: \.isWhitespace).dropFirst().compactMap { pid_t($0) }
    }
}
