/// What a request is about, for an error.
struct RequestSubject {
    let action: String
    let key: String
    /// Whether the permission to write is needed.
    let writes: Bool

    init(_ action: String, key: String, writes: Bool = false) {
        self.action = action
        self.key = key
        self.writes = writes
    }

    var text: String { key.isEmpty ? action : "\(action) (\(key))" }
    /// What a role needs: all that is under the network's prefix.
    var prefix: String { key.firstRange(ofComponent: "subnets").map { String(key[..<$0]) } ?? key }
}

extension String {
    /// Where `/COMPONENT` starts plus the slash.
    fileprivate func firstRange(ofComponent component: String) -> Index? {
        var index = startIndex
        while let slash = self[index...].firstIndex(of: "/") {
            index = self.index(after: slash)
            if self[index...].hasPrefix(component + "/") { return index }
        }
        return nil
    }
}
