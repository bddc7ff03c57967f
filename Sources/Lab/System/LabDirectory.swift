import FoundationEssentials
import Glibc
import LinuxSystem

/// Where a lab keeps its files, all of them under names that follow from the lab's.
public struct LabDirectory: Hashable, Sendable {
    /// The lab's name.
    public let lab: String

    /// Touches no file.
    public init(lab: String) { self.lab = lab }

    static let parent = "/run/weft-lab"
    static let temporaryParent = "/var/tmp"

    /// Under /run, so that nothing outlives a reboot.
    public var path: String { "\(Self.parent)/\(lab)" }
    var lockPath: String { "\(Self.parent)/\(lab).lock" }
    var planPath: String { "\(path)/lab.json" }
    var etcdLog: String { "\(path)/etcd.log" }
    var etcdDataLink: String { "\(path)/etcd-data" }
    var busybox: String { "\(path)/busybox" }

    /// The parent of the control groups of Docker containers.
    var controlGroup: String { "/weft-lab.\(lab)" }

    func path(_ host: LabHost) -> String { "\(path)/\(host.name)" }
    func subnetFile(_ host: LabHost) -> String { "\(path(host))/subnet.env" }
    func daemonLog(_ host: LabHost) -> String { "\(path(host))/daemon.log" }
    func daemonPID(_ host: LabHost) -> String { "\(path(host))/daemon.pid" }
    func dockerLog(_ host: LabHost) -> String { "\(path(host))/docker.log" }
    func dockerPID(_ host: LabHost) -> String { "\(path(host))/docker.pid" }
    func dockerSocket(_ host: LabHost) -> String { "\(path(host))/docker.sock" }
    func root(_ container: LabContainer) -> String { "\(path)/\(container.host)/\(container.name)" }

    /// A new directory on disk for etcd, whose log is preallocated (64 MB) and may not fit in /run.
    func makeDataDirectory() throws(LabError) -> String {
        var template = Array("\(Self.temporaryParent)/\(lab)-etcd.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw LabError("\(Self.temporaryParent): cannot make a directory for etcd: \(Errno.message(errno))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Every directory that this lab made for etcd, also in earlier lives.
    func dataDirectories() -> [String] {
        let prefix = "\(lab)-etcd."
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Self.temporaryParent)) ?? []
        return names.filter { $0.hasPrefix(prefix) && $0.utf8.count == prefix.utf8.count + 6 }
            .map { "\(Self.temporaryParent)/\($0)" }
            .filter { path in
                var status = stat()
                return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_uid == getuid()
            }
    }

    // MARK: - The plan of a running lab

    /// The plan of the lab when it is up, `nil` when there is none or it never came up fully.
    public func plan() -> LabPlan? {
        guard let data = FileManager.default.contents(atPath: planPath) else { return nil }
        return try? JSONDecoder().decode(LabPlan.self, from: data)
    }

    func save(_ plan: LabPlan) throws(LabError) {
        do {
            try JSONEncoder().encode(plan).write(to: URL(filePath: planPath), options: .atomic)
        } catch {
            throw LabError("\(planPath): cannot be written: \(error)")
        }
    }

    // MARK: - Files

    static func make(_ path: String) throws(LabError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw LabError("\(path): cannot be made: \(error)", remedy: "Is \(parent) writable?")
        }
    }

    static func read(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The end of a log, to be quoted in an error.
    static func lastWords(_ log: String) -> String {
        let lines = (read(log) ?? "").split(separator: "\n").suffix(8)
        return lines.isEmpty
            ? "it said nothing" : "its last words:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }
}
