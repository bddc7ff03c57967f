/// A table with aligned columns, two spaces apart.
public struct TextTable: Hashable, Sendable {
    /// Where the text stands in its column.
    public enum Alignment: Hashable, Sendable { case left, right, centre }

    /// One cell; the tone does not count towards its width.
    public struct Cell: Hashable, Sendable, ExpressibleByStringInterpolation {
        /// Without escape sequences.
        public let text: String
        /// `nil` for plain text.
        public let tone: TextStyle.Tone?

        /// All fields as given.
        public init(_ text: String, tone: TextStyle.Tone? = nil) {
            self.text = text
            self.tone = tone
        }
        /// A plain cell.
        public init(stringLiteral value: String) { self.init(value) }
    }

    private let headings: [String]
    private let alignments: [Alignment]
    private var rows: [[Cell]] = []

    /// - Parameter columns: headings with the alignment of heading and cells.
    public init(columns: [(heading: String, alignment: Alignment)]) {
        headings = columns.map(\.heading)
        alignments = columns.map(\.alignment)
    }

    /// Adds a row; cells that are missing at the end are empty, cells beyond the last column are left out.
    public mutating func add(_ row: [Cell]) {
        let padding = Array(repeating: Cell(""), count: max(0, headings.count - row.count))
        rows.append(Array((row + padding).prefix(headings.count)))
    }

    /// The lines of the table, headings first, without white space at the ends.
    ///
    /// - Parameters:
    ///   - indent: the number of spaces before each line.
    ///   - showsHeadings: whether the first line is the headings.
    public func render(_ style: TextStyle, indent: Int = 2, headings showsHeadings: Bool = true) -> String {
        let all = (showsHeadings ? [headings.map { Cell($0, tone: .heading) }] : []) + rows
        let widths = headings.indices.map { column in all.map { $0[column].text.count }.max() ?? 0 }
        return all.map { row in
            let last = row.lastIndex { !$0.text.isEmpty } ?? 0
            let cells = row.indices.prefix(last + 1).map { column in
                let cell = row[column]
                let space = widths[column] - cell.text.count
                let before =
                    switch alignments[column] {
                    case .left: 0
                    case .right: space
                    case .centre: space / 2
                    }
                let after = column == last ? 0 : space - before
                return spaces(before) + style.apply(cell.tone, to: cell.text) + spaces(after)
            }
            return spaces(indent) + cells.joined(separator: "  ") + "\n"
        }.joined()
    }

    private func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
}
