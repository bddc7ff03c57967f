import FoundationEssentials
import Glibc
import LinuxSystem

/// The attachments of this host, a file each. One command at a time changes them.
struct AttachmentStore: Sendable {
    /// For root alone.
    let directory: String

    /// Held while records and what they stand for are changed.
    struct Lock: ~Copyable {
        private let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// Waits for its turn.
    func lock() throws(AttachError) -> Lock {
        do {
            try StateFile.makeDirectory(directory)
            let file = try OwnedDescriptor(path: "\(directory)/lock", flags: O_RDWR | O_CREAT, mode: 0o600)
            try systemCall("flock", directory) { flock(file.rawValue, LOCK_EX) }
            return Lock(file)
        } catch {
            throw AttachError("\(error)")
        }
    }

    func save(_ record: AttachmentRecord) throws(AttachError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            let text = String(decoding: try encoder.encode(record), as: UTF8.self)
            try StateFile.write(text + "\n", to: path(record.id))
        } catch {
            throw AttachError("the attachment cannot be written down: \(error)")
        }
    }

    func remove(_ record: AttachmentRecord) { unlink(path(record.id)) }

    /// Files that a killed command began to write. The lock is held, so nobody writes now.
    func removeUnfinished() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for name in names where name.hasSuffix(".json.new") { unlink("\(directory)/\(name)") }
    }

    /// All records, by id, and a line for each file that is none.
    func load() -> (records: [AttachmentRecord], refused: [String]) {
        var records: [AttachmentRecord] = []
        var refused: [String] = []
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for name in names.sorted() where name.hasSuffix(".json") {
            let path = "\(directory)/\(name)"
            do {
                let text = try TextFile.read(path)
                let record = try JSONDecoder().decode(AttachmentRecord.self, from: Data(text.utf8))
                guard record.version == AttachmentRecord.currentVersion else {
                    throw AttachError("version \(record.version) is of another release")
                }
                guard "\(record.id).json" == name, Self.isIdentifier(record.id) else {
                    throw AttachError("its id is \(record.id)")
                }
                records.append(record)
            } catch {
                refused.append("\(path) is no attachment's record and left alone: \(Self.reason(error)); delete it")
            }
        }
        return (records, refused)
    }

    /// On one line.
    private static func reason(_ error: any Error) -> String {
        switch error {
        case DecodingError.dataCorrupted(let context), DecodingError.typeMismatch(_, let context),
            DecodingError.valueNotFound(_, let context), DecodingError.keyNotFound(_, let context):
            let place = context.codingPath.map(\.stringValue).joined(separator: ".")
            return "\(place.isEmpty ? "" : place + ": ")\(context.debugDescription)"
        default: return "\(error)"
        }
    }

    private func path(_ id: String) -> String { "\(directory)/\(id).json" }

    /// A new one, that no file has.
    static func makeIdentifier() -> String {
        let digits = Array("0123456789abcdef")
        return String((0..<12).map { _ in digits[Int.random(in: 0..<16)] })
    }

    private static func isIdentifier(_ text: String) -> Bool {
        text.utf8.count == 12 && text.allSatisfy { $0.isHexDigit && !$0.isUppercase }
    }
}
