import Leases

/// The version that all members of an etcd cluster have at least.
struct EtcdVersion: Comparable, Sendable {
    let major: Int
    let minor: Int

    init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads the answer to `/version`: `{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}`, or etcd 2.0's `etcd 2.0.13`.
    init?(answer: [UInt8]) {
        let text: String
        if let json = try? JSONValue(answer: answer) {
            guard let cluster = json["etcdcluster"]?.text else { return nil }
            text = cluster
        } else {
            let plain = String(decoding: answer.prefix(64), as: UTF8.self)
            guard plain.hasPrefix("etcd ") else { return nil }
            text = String(plain.dropFirst(5))
        }
        let parts = text.split(separator: ".").prefix(2).map { Int($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
        self.init(major: major, minor: minor)
    }

    static func < (left: Self, right: Self) -> Bool { (left.major, left.minor) < (right.major, right.minor) }
}
