/// A regular expression of `--iface-regex`: Go's RE2 syntax, as far as whether it matches goes.
///
/// Swift's own expressions have another syntax and other word boundaries: `\beth0\b` finds nothing in `eth0.100`.
/// Matching takes time in proportion to the text, whatever the expression is.
public struct InterfaceExpression: Hashable, Sendable, CustomStringConvertible {
    /// As it was given.
    public let description: String
    private let program: [Instruction]

    enum Instruction: Hashable, Sendable {
        /// Goes on behind a character of the set.
        case character(ScalarSet)
        case assertion(Assertion)
        /// Goes on at either place.
        case split(Int, Int)
        case jump(Int)
        case match
    }

    enum Assertion: Hashable, Sendable {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
    }

    /// - Throws: ``ExpressionError`` saying what is wrong.
    public init(_ text: String) throws(ExpressionError) {
        description = text
        var compiler = ExpressionCompiler()
        try compiler.add(try ExpressionParser.parse(text))
        program = compiler.program + [.match]
    }

    /// Whether any part of `text` matches, as Go's `MatchString`.
    func matches(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var current = ThreadSet(count: program.count)
        for position in 0...scalars.count {
            // A match may begin anywhere.
            if follow(0, position, scalars, into: &current) { return true }
            guard position < scalars.count else { return false }
            var next = ThreadSet(count: program.count)
            for place in current.places {
                guard case .character(let set) = program[place], set.contains(scalars[position]) else { continue }
                if follow(place + 1, position + 1, scalars, into: &next) { return true }
            }
            current = next
        }
        return false
    }

    /// Adds the places that are reached without a character.
    ///
    /// - Returns: whether the end of the program is among them.
    private func follow(_ start: Int, _ position: Int, _ text: [Unicode.Scalar], into set: inout ThreadSet) -> Bool {
        var pending = [start]
        while let place = pending.popLast() {
            guard set.insert(place) else { continue }
            switch program[place] {
            case .character: break
            case .assertion(let assertion): if holds(assertion, position, text) { pending.append(place + 1) }
            case .split(let first, let second): pending += [first, second]
            case .jump(let target): pending.append(target)
            case .match: return true
            }
        }
        return false
    }

    private func holds(_ assertion: Assertion, _ position: Int, _ text: [Unicode.Scalar]) -> Bool {
        let before = position > 0 ? text[position - 1] : nil
        let after = position < text.count ? text[position] : nil
        func isWord(_ scalar: Unicode.Scalar?) -> Bool { scalar.map(ScalarSet.word.contains) ?? false }
        return switch assertion {
        case .textStart: before == nil
        case .textEnd: after == nil
        case .lineStart: before == nil || before == "\n"
        case .lineEnd: after == nil || after == "\n"
        case .wordBoundary: isWord(before) != isWord(after)
        case .noWordBoundary: isWord(before) == isWord(after)
        }
    }
}

/// Places of the program that are reached at one position of the text.
private struct ThreadSet {
    private(set) var places: [Int] = []
    private var isIn: [Bool]

    init(count: Int) { isIn = [Bool](repeating: false, count: count) }

    mutating func insert(_ place: Int) -> Bool {
        guard !isIn[place] else { return false }
        isIn[place] = true
        places.append(place)
        return true
    }
}

/// What is wrong with an expression.
public struct ExpressionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// In few words.
    public let description: String
    init(_ description: String) { self.description = description }
}

/// Turns a parsed expression into a program.
private struct ExpressionCompiler {
    private(set) var program: [InterfaceExpression.Instruction] = []
    /// Repetitions of repetitions grow beyond all bounds.
    private static let sizeLimit = 100_000

    mutating func add(_ node: ExpressionNode) throws(ExpressionError) {
        guard program.count < Self.sizeLimit else { throw ExpressionError("it is too large") }
        switch node {
        case .empty: break
        case .character(let set): program.append(.character(set))
        case .assertion(let assertion): program.append(.assertion(assertion))
        case .sequence(let parts): for part in parts { try add(part) }
        case .alternatives(let parts):
            var exits: [Int] = []
            for (number, part) in parts.enumerated() {
                guard number < parts.count - 1 else {
                    try add(part)
                    break
                }
                let fork = reserve()
                try add(part)
                exits.append(reserve())
                program[fork] = .split(fork + 1, program.count)
            }
            for exit in exits { program[exit] = .jump(program.count) }
        case .repeated(let part, let minimum, let maximum):
            for _ in 0..<minimum { try add(part) }
            if let maximum {
                var forks: [Int] = []
                for _ in minimum..<max(minimum, maximum) {
                    forks.append(reserve())
                    try add(part)
                }
                for fork in forks { program[fork] = .split(fork + 1, program.count) }
            } else {
                let fork = reserve()
                try add(part)
                program.append(.jump(fork))
                program[fork] = .split(fork + 1, program.count)
            }
        }
    }

    private mutating func reserve() -> Int {
        program.append(.match)
        return program.count - 1
    }
}
