/// A thing that is counted or measured, in the text format of Prometheus.
public struct Metric: Hashable, Sendable {
    /// How its value goes.
    public enum Kind: String, Sendable {
        /// Up, from 0 at the start of the process.
        case counter
        /// Up and down.
        case gauge
    }

    /// One value, of one label.
    public struct Sample: Hashable, Sendable {
        /// What the label says; `nil` without one.
        public var label: String?
        /// Any.
        public var value: UInt64

        /// All fields as given.
        public init(_ label: String?, _ value: UInt64) {
            self.label = label
            self.value = value
        }
    }

    private let name: String
    private let kind: Kind
    private let help: String
    private let label: String
    private let samples: [Sample]

    /// - Parameters:
    ///   - name: with a unit, and `_total` for a counter.
    ///   - help: one sentence, without line ends.
    ///   - label: the name of what the samples differ in.
    public init(_ name: String, _ kind: Kind, _ help: String, label: String = "", _ samples: [Sample]) {
        self.name = name
        self.kind = kind
        self.help = help
        self.label = label
        self.samples = samples
    }

    /// The lines of a page.
    public var text: String {
        let lines = samples.map { sample in
            "\(name)\(sample.label.map { "{\(label)=\"\($0)\"}" } ?? "") \(sample.value)\n"
        }
        return "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n" + lines.joined()
    }
}
