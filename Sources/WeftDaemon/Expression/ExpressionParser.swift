/// A regular expression, parsed.
indirect enum ExpressionNode {
    case empty
    case character(ScalarSet)
    case assertion(InterfaceExpression.Assertion)
    case sequence([ExpressionNode])
    case alternatives([ExpressionNode])
    /// `nil` for a maximum is without end.
    case repeated(ExpressionNode, Int, Int?)
}

/// Go's `regexp/syntax` with its Perl flags (golang.org/s/re2syntax), but for scripts such as `\p{Greek}`.
struct ExpressionParser {
    private let text: [Unicode.Scalar]
    private var position = 0
    private var depth = 0
    private var flags = Flags()

    private struct Flags {
        var ignoresCase = false
        var isMultiline = false
        var dotIsAll = false
    }

    private static let depthLimit = 200
    private static let repetitionLimit = 1000

    static func parse(_ text: String) throws(ExpressionError) -> ExpressionNode {
        var parser = ExpressionParser(text: Array(text.unicodeScalars))
        let node = try parser.alternatives()
        guard parser.position == parser.text.count else { throw ExpressionError("unexpected )") }
        return node
    }

    private init(text: [Unicode.Scalar]) { self.text = text }

    private var next: Unicode.Scalar? { position < text.count ? text[position] : nil }

    private mutating func take() -> Unicode.Scalar? {
        defer { position += 1 }
        return next
    }

    private mutating func takes(_ wanted: String) -> Bool {
        guard text[min(position, text.count)...].starts(with: wanted.unicodeScalars) else { return false }
        position += wanted.unicodeScalars.count
        return true
    }

    private mutating func alternatives() throws(ExpressionError) -> ExpressionNode {
        var all = [try sequence()]
        while takes("|") { all.append(try sequence()) }
        return all.count == 1 ? all[0] : .alternatives(all)
    }

    private mutating func sequence() throws(ExpressionError) -> ExpressionNode {
        var parts: [ExpressionNode] = []
        // Of the last part: may it be repeated?
        var isOpen = false
        while let scalar = next, scalar != "|", scalar != ")" {
            if takes("\\Q") {
                while position < text.count, !takes("\\E") {
                    if let literal = take() { parts.append(.character(character(ScalarSet(literal)))) }
                    isOpen = true
                }
                continue
            }
            if let (minimum, maximum) = try repetition() {
                guard let last = parts.popLast(), isOpen else {
                    throw ExpressionError("a repetition without anything to repeat, or of a repetition")
                }
                parts.append(.repeated(last, minimum, maximum))
                isOpen = false
                continue
            }
            if let part = try atom() {
                parts.append(part)
                isOpen = true
            } else {
                isOpen = !parts.isEmpty
            }
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// `*`, `+`, `?`, `{2}`, `{2,}`, `{2,5}`, each perhaps with `?`; a brace of another form is a character.
    private mutating func repetition() throws(ExpressionError) -> (Int, Int?)? {
        let bounds: (Int, Int?)
        switch next {
        case "*": bounds = (0, nil)
        case "+": bounds = (1, nil)
        case "?": bounds = (0, 1)
        case "{":
            guard let braced = braces() else { return nil }
            guard braced.0 <= Self.repetitionLimit, (braced.1 ?? 0) <= Self.repetitionLimit,
                braced.1.map({ $0 >= braced.0 }) ?? true
            else { throw ExpressionError("a repetition has bad bounds; at most \(Self.repetitionLimit)") }
            _ = takes("?")
            return braced
        default: return nil
        }
        position += 1
        _ = takes("?")
        return bounds
    }

    private mutating func braces() -> (Int, Int?)? {
        let start = position
        position += 1
        if let minimum = number() {
            if takes("}") { return (minimum, minimum) }
            if takes(",") {
                if takes("}") { return (minimum, nil) }
                if let maximum = number(), takes("}") { return (minimum, maximum) }
            }
        }
        position = start
        return nil
    }

    private mutating func number() -> Int? {
        let start = position
        while let scalar = next, ("0"..."9").contains(scalar) { position += 1 }
        let digits = text[start..<position]
        guard !digits.isEmpty, digits.count == 1 || digits.first != "0" else { return nil }
        return digits.reduce(0) { min($0 * 10 + Int($1.value) - 48, Self.repetitionLimit + 1) }
    }

    /// `nil` for what sets flags only.
    private mutating func atom() throws(ExpressionError) -> ExpressionNode? {
        guard let scalar = take() else { return nil }
        switch scalar {
        case "(": return try group()
        case "[": return .character(character(try characterClass()))
        case ".": return .character(flags.dotIsAll ? .any : .anyButNewline)
        case "^": return .assertion(flags.isMultiline ? .lineStart : .textStart)
        case "$": return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
        case "\\": return try escape()
        default: return .character(character(ScalarSet(scalar)))
        }
    }

    private func character(_ set: ScalarSet) -> ScalarSet {
        var set = set
        set.ignoresCase = flags.ignoresCase
        return set
    }

    private mutating func group() throws(ExpressionError) -> ExpressionNode? {
        let outer = flags
        if takes("?") {
            if takes("P<") || takes("<") {
                let start = position
                while let scalar = next, ScalarSet.word.contains(scalar) { position += 1 }
                guard position > start, takes(">") else { throw ExpressionError("a group has a bad name") }
            } else {
                var isOn = true
                var count = 0
                flagLoop: while true {
                    switch take() {
                    case "i": flags.ignoresCase = isOn
                    case "m": flags.isMultiline = isOn
                    case "s": flags.dotIsAll = isOn
                    // Of no account for whether there is a match.
                    case "U": break
                    case "-" where isOn:
                        isOn = false
                        count = -1
                    case ":" where count > 0 || isOn: break flagLoop
                    case ")" where count > 0 || isOn: return nil
                    default: throw ExpressionError("(? is followed by what Go does not have")
                    }
                    count += 1
                }
            }
        }
        depth += 1
        guard depth <= Self.depthLimit else { throw ExpressionError("groups are nested too deeply") }
        let node = try alternatives()
        guard takes(")") else { throw ExpressionError("a ) is missing") }
        depth -= 1
        flags = outer
        return node
    }

    private mutating func escape() throws(ExpressionError) -> ExpressionNode {
        switch next {
        case "A": position += 1; return .assertion(.textStart)
        case "z": position += 1; return .assertion(.textEnd)
        case "b": position += 1; return .assertion(.wordBoundary)
        case "B": position += 1; return .assertion(.noWordBoundary)
        case "C": position += 1; return .character(.any)
        default: break
        }
        if let set = try escapedSet() { return .character(character(set)) }
        return .character(character(ScalarSet(try escapedScalar())))
    }

    /// `\d` and its like, behind the backslash; `nil` when it is another escape.
    private mutating func escapedSet() throws(ExpressionError) -> ScalarSet? {
        guard let scalar = next else { return nil }
        if scalar == "p" || scalar == "P" {
            position += 1
            return try unicodeClass(isNegated: scalar == "P")
        }
        var set: ScalarSet
        switch scalar {
        case "d", "D": set = .digits
        case "s", "S": set = .space
        case "w", "W": set = .word
        default: return nil
        }
        set.isNegated = ("A"..."Z").contains(scalar)
        position += 1
        return set
    }

    private mutating func unicodeClass(isNegated: Bool) throws(ExpressionError) -> ScalarSet {
        var isNegated = isNegated
        var name = ""
        if takes("{") {
            if takes("^") { isNegated.toggle() }
            while let scalar = take(), scalar != "}" { name.unicodeScalars.append(scalar) }
        } else if let scalar = take() {
            name.unicodeScalars.append(scalar)
        }
        guard let set = ScalarSet.category(name, isNegated: isNegated) else {
            throw ExpressionError("\\p{\(name)} is no general category of Unicode")
        }
        return set
    }

    /// Behind the backslash.
    private mutating func escapedScalar() throws(ExpressionError) -> Unicode.Scalar {
        guard let scalar = take() else { throw ExpressionError("it ends with a backslash") }
        switch scalar {
        case "a": return "\u{07}"
        case "f": return "\u{0c}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{0b}"
        case "x": if let value = hexadecimal() { return value }
        // One digit would be a back reference, which there is none of.
        case "0"..."7":
            var value = scalar.value - 48
            var count = 1
            while count < 3, let digit = next, ("0"..."7").contains(digit) {
                value = value * 8 + digit.value - 48
                position += 1
                count += 1
            }
            if scalar == "0" || count > 1, let result = Unicode.Scalar(value) { return result }
        default: if scalar.isASCII, !ScalarSet.word.contains(scalar) || scalar == "_" { return scalar }
        }
        throw ExpressionError("\\\(scalar) is no escape of Go's")
    }

    private mutating func hexadecimal() -> Unicode.Scalar? {
        func digit(_ scalar: Unicode.Scalar?) -> UInt32? {
            scalar.flatMap { Character($0).isASCII ? Character($0).hexDigitValue : nil }.map(UInt32.init)
        }
        guard takes("{") else {
            guard let high = digit(take()), let low = digit(take()) else { return nil }
            return Unicode.Scalar(high * 16 + low)
        }
        var value: UInt32?
        while let scalar = take(), scalar != "}" {
            guard let next = digit(scalar), (value ?? 0) <= 0x10ffff else { return nil }
            value = (value ?? 0) * 16 + next
        }
        return text[position - 1 < text.count ? position - 1 : text.count - 1] == "}"
            ? value.flatMap(Unicode.Scalar.init) : nil
    }

    /// Behind the opening bracket.
    private mutating func characterClass() throws(ExpressionError) -> ScalarSet {
        var set = ScalarSet()
        set.isNegated = takes("^")
        var isFirst = true
        while isFirst || next != "]" {
            isFirst = false
            guard next != nil else { throw ExpressionError("a ] is missing") }
            if let named = try namedClass() {
                set.formUnion(named)
                continue
            }
            let start = position
            if takes("\\"), let escaped = try escapedSet() {
                set.formUnion(escaped)
                continue
            }
            position = start
            let low = try classScalar()
            var high = low
            if next == "-", position + 1 < text.count, text[position + 1] != "]" {
                position += 1
                high = try classScalar()
            }
            guard low <= high else { throw ExpressionError("\(low)-\(high) is no range") }
            set.insert(low, high)
        }
        position += 1
        return set
    }

    private mutating func classScalar() throws(ExpressionError) -> Unicode.Scalar {
        if takes("\\") { return try escapedScalar() }
        guard let scalar = take() else { throw ExpressionError("a ] is missing") }
        return scalar
    }

    /// `[:alpha:]`; `nil` when it is none.
    private mutating func namedClass() throws(ExpressionError) -> ScalarSet? {
        let start = position
        guard takes("[:") else { return nil }
        let isNegated = takes("^")
        var name = ""
        while position < text.count {
            if takes(":]") {
                guard var set = ScalarSet.posix(name) else { throw ExpressionError("[:\(name):] is no class") }
                set.isNegated = isNegated
                return set
            }
            if let scalar = take() { name.unicodeScalars.append(scalar) }
        }
        position = start
        return nil
    }
}
