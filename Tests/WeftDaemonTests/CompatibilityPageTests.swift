import Foundation
import Testing

@testable import WeftDaemon

/// docs/compatibility.md says of each flag and variable what the code says.
@Suite struct CompatibilityPageTests {
    private let page: String

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        page = try String(contentsOf: root.appendingPathComponent("docs/compatibility.md"), encoding: .utf8)
    }

    private func rows(beginningWith start: String) -> [String] {
        page.split(separator: "\n").map(String.init).filter { $0.hasPrefix(start) }
    }

    @Test func flagsAreThoseOfTheCode() {
        let expected = Flag.all.map { flag in
            let what =
                switch flag.standing {
                case .works: "works"
                case .limited(let text): text
                case .unused(let reason): "no effect: \(reason)"
                }
            return "| `-\(flag.name)` | \(flag.since.map { "v\($0)" } ?? "Weft's own") | \(what) |"
        }
        #expect(rows(beginningWith: "| `-") == expected)
    }

    @Test func variablesAreThoseOfTheCode() {
        let expected = OtherVariable.all.map { "| `\($0.name)` | v\($0.since) | no effect: \($0.reason) |" }
        let documented = rows(beginningWith: "| `").filter { row in
            OtherVariable.all.contains { row.hasPrefix("| `\($0.name)`") }
        }
        #expect(documented == expected)
    }
}
