/// The name that somebody may have meant.
enum Suggestion {
    /// The nearest of `names`, unless it is far from `name`.
    static func nearest(to name: String, in names: [String]) -> String? {
        names.filter { $0.count > 2 }.map { ($0, distance(name, $0)) }.min { $0.1 < $1.1 }
            .flatMap { $0.1 <= min(3, name.count / 2) ? $0.0 : nil }
    }

    /// Levenshtein's distance.
    private static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let cost = min(row[j] + 1, row[j + 1] + 1, diagonal + (a == b ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[right.count]
    }
}
