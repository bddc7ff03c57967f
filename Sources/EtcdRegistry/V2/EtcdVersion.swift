import Leases

/// The version that all members of an etcd cluster have at least.
struct EtcdVersion: Comparable, Sendable {
    let major: Int
    let minor: Int

    init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads the answer to `/version`: `{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}`; `nil` when it is something else,
    /// as etcd 2.0's `etcd 2.0.13`.
    init?(answer: [UInt8]) {
        guard let json = try? JSONValue(answer: answer), let text = json["etcdcluster"]?.text else { return nil }
        let parts = text.split(separator: ".").prefix(2).map { Int($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
        self.init(major: major, minor: minor)
    }

    static func < (left: Self, right: Self) -> Bool { (left.major, left.minor) < (right.major, right.minor) }
}
