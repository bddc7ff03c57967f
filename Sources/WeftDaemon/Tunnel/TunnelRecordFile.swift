import Backends
import Glibc
import LinuxSystem

/// The file that a ``TunnelRecord`` is kept in, beside the subnet file.
struct TunnelRecordFile: Sendable {
    /// Absolute.
    let path: String
    /// Which registry and network the daemon is for.
    let registry: String

    init(_ configuration: DaemonConfiguration) {
        path = "\(Folder.of(configuration.subnetFile))/weft-tunnel"
        let words = configuration.etcdEndpoints.sorted() + [configuration.etcdPrefix]
        registry = String(words.joined(separator: " ").map { $0.isNewline ? " " : $0 })
    }

    /// What an earlier process of this boot left; `nil` when there is none, or it is damaged, another network's or not
    /// to be trusted.
    func read() -> TunnelRecord? {
        guard
            let text = try? TextFile.read(path, limit: TunnelRecord.sizeLimit, isOwn: true),
            let record = TunnelRecord(text),
            record.boot == TunnelRecord.currentBoot, record.registry == registry,
            record.spec.device == UDPBackend.interface
        else { return nil }
        return record
    }

    /// Puts the record in the file's place in one step.
    func write(_ record: TunnelRecord) throws(SystemCallError) { try TextFile.replace(path, with: record.text) }

    /// Nothing goes on from it any more.
    func remove() { unlink(path) }
}
