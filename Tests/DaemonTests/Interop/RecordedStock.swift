import Foundation
import Testing

/// A cluster of two hosts under a stock flanneld, as `Scripts/capture-stock.py` recorded it: what was in etcd, and the
/// first host's kernel state as commands.
struct RecordedStock: Decodable, Sendable, CustomTestStringConvertible {
    var name: String
    var config: String
    var keys: [Key]
    /// The first host's, then the second's.
    var subnetFiles: [String]
    /// Filled in after decoding.
    var version: String?
    var kernel: String?

    var testDescription: String { "\(version ?? "") \(name)" }

    struct Key: Decodable, Sendable {
        var name: String
        var value: String
    }

    private struct Corpus: Decodable {
        var version: String
        var cases: [RecordedStock]
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fixtures/Stock")

    /// Those of these names whose kernel state was recorded.
    static func all(_ names: [String]) -> [RecordedStock] {
        ["v0.11.0", "v0.20.2"].flatMap { version -> [RecordedStock] in
            let place = folder.appending(path: version)
            guard let data = try? Data(contentsOf: place.appending(path: "corpus.json")),
                let corpus = try? JSONDecoder().decode(Corpus.self, from: data)
            else { return [] }
            return corpus.cases.compactMap { sample in
                var sample = sample
                sample.version = version
                sample.kernel = try? String(contentsOf: place.appending(path: "\(sample.name).sh"), encoding: .utf8)
                return names.contains(sample.name) && sample.kernel != nil ? sample : nil
            }
        }
    }

    /// Puts config and leases into the lab's etcd, bound to an etcd lease as stock's are.
    func fill(_ lab: TestLab) throws {
        try lab.put(config: config)
        let lease = try lab.client.grant(seconds: 86_400)
        for key in keys { try lab.client.put(lab.key(key.name), key.value, lease: lease) }
    }

    /// Makes the first host what it was when stock had just stopped there.
    func restore(_ host: LabHost) throws {
        try host.shell(kernel ?? "false")
        try subnetFiles[0].write(toFile: host.subnetFile, atomically: true, encoding: .utf8)
    }
}
