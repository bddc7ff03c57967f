import Foundation
import Testing

@testable import WeftDaemon

/// docs/compatibility.md says of each flag and variable what the code says, and Packaging/weftd.env has those that work.
@Suite struct CompatibilityPageTests {
    private static func text(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// The rows of the section on flags and variables.
    private func rows(beginningWith start: String) throws -> [String] {
        let lines = try Self.text("docs/compatibility.md").split(separator: "\n")
        return lines.drop { $0 != "## Flags and variables, one by one" }.dropFirst().prefix { !$0.hasPrefix("## ") }
            .map(String.init).filter { $0.hasPrefix(start) }
    }

    @Test func theServicesFileHasEveryVariableThatWorks() throws {
        let lines = try Self.text("Packaging/weftd.env").split(separator: "\n")
        for flag in Flag.all where flag.hasVariable && flag.standing == .works {
            let known = lines.filter { $0.hasPrefix("\(flag.variable)=") || $0.hasPrefix("#\(flag.variable)=") }
            #expect(known.count == 1, "\(flag.variable)")
            // What is commented out shows the default.
            if let line = known.first, line.hasPrefix("#") { #expect(line == "#\(flag.variable)=\(flag.defaultText)") }
        }
    }

    @Test func flagsAreThoseOfTheCode() throws {
        let expected = Flag.all.map { flag in
            let what =
                switch flag.standing {
                case .works: "works"
                case .limited(let text): text
                case .unused(let reason): "no effect: \(reason)"
                }
            return "| `-\(flag.name)` | \(flag.since.map { "v\($0)" } ?? "Weft's own") | \(what) |"
        }
        #expect(try rows(beginningWith: "| `-") == expected)
    }

    @Test func variablesAreThoseOfTheCode() throws {
        let expected = OtherVariable.all.map { "| `\($0.name)` | v\($0.since) | no effect: \($0.reason) |" }
        let documented = try rows(beginningWith: "| `").filter { row in
            OtherVariable.all.contains { row.hasPrefix("| `\($0.name)`") }
        }
        #expect(documented == expected)
    }
}
