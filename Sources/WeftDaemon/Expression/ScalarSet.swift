/// A set of characters, as a regular expression names it.
struct ScalarSet: Hashable, Sendable {
    private var ranges: [ClosedRange<UInt32>] = []
    /// Unicode's general categories by their short names, a letter for all that begin with it; with whether it is the rest
    /// that is meant.
    private var categories: [Category] = []
    var isNegated = false
    /// Capitals and small letters are one.
    var ignoresCase = false

    private struct Category: Hashable, Sendable {
        var name: String
        var isNegated: Bool
    }

    init(_ ranges: ClosedRange<UInt32>...) { self.ranges = ranges }

    init(_ scalar: Unicode.Scalar) { ranges = [scalar.value...scalar.value] }

    static let any = ScalarSet(0...0x10ffff)
    static let word = ScalarSet(0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a)
    static let digits = ScalarSet(0x30...0x39)
    static let space = ScalarSet(9...10, 12...13, 32...32)
    static let anyButNewline = ScalarSet(0...9, 11...0x10ffff)

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var isIn = holds(scalar)
        if ignoresCase, !isIn {
            let properties = scalar.properties
            isIn = [properties.lowercaseMapping, properties.uppercaseMapping].contains { mapping in
                mapping.unicodeScalars.count == 1 && mapping.unicodeScalars.first.map(holds) ?? false
            }
        }
        return isIn != isNegated
    }

    private func holds(_ scalar: Unicode.Scalar) -> Bool {
        ranges.contains { $0.contains(scalar.value) }
            || categories.contains { scalar.isOf($0.name) != $0.isNegated }
    }

    mutating func insert(_ first: Unicode.Scalar, _ last: Unicode.Scalar) { ranges.append(first.value...last.value) }

    /// Adds another set, which may be the rest of a plain one.
    mutating func formUnion(_ other: ScalarSet) {
        categories += other.categories.map { Category(name: $0.name, isNegated: $0.isNegated != other.isNegated) }
        guard other.isNegated else {
            ranges += other.ranges
            return
        }
        guard !other.ranges.isEmpty else { return }
        var next: UInt32 = 0
        for range in other.ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > next { ranges.append(next...range.lowerBound - 1) }
            next = max(next, range.upperBound + 1)
        }
        if next <= 0x10ffff { ranges.append(next...0x10ffff) }
    }

    /// `[[:alpha:]]` and the like, ASCII alone.
    static func posix(_ name: String) -> ScalarSet? {
        switch name {
        case "alnum": ScalarSet(0x30...0x39, 0x41...0x5a, 0x61...0x7a)
        case "alpha": ScalarSet(0x41...0x5a, 0x61...0x7a)
        case "ascii": ScalarSet(0...0x7f)
        case "blank": ScalarSet(9...9, 32...32)
        case "cntrl": ScalarSet(0...0x1f, 0x7f...0x7f)
        case "digit": digits
        case "graph": ScalarSet(0x21...0x7e)
        case "lower": ScalarSet(0x61...0x7a)
        case "print": ScalarSet(0x20...0x7e)
        case "punct": ScalarSet(0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e)
        case "space": ScalarSet(9...13, 32...32)
        case "upper": ScalarSet(0x41...0x5a)
        case "word": word
        case "xdigit": ScalarSet(0x30...0x39, 0x41...0x46, 0x61...0x66)
        default: nil
        }
    }

    /// `\p{Lu}`, `\pL`; `nil` for a name that is no general category.
    static func category(_ name: String, isNegated: Bool) -> ScalarSet? {
        let groups = ["C", "L", "M", "N", "P", "S", "Z", "Any"]
        guard groups.contains(name) || Unicode.GeneralCategory.shortNames.contains(name) else { return nil }
        var set = ScalarSet()
        set.categories = [Category(name: name, isNegated: isNegated)]
        return set
    }
}

extension Unicode.Scalar {
    fileprivate func isOf(_ category: String) -> Bool {
        category == "Any" || properties.generalCategory.shortName.hasPrefix(category)
    }
}

extension Unicode.GeneralCategory {
    fileprivate static let shortNames = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "Sm",
        "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
    ]

    fileprivate var shortName: String {
        switch self {
        case .uppercaseLetter: "Lu"
        case .lowercaseLetter: "Ll"
        case .titlecaseLetter: "Lt"
        case .modifierLetter: "Lm"
        case .otherLetter: "Lo"
        case .nonspacingMark: "Mn"
        case .spacingMark: "Mc"
        case .enclosingMark: "Me"
        case .decimalNumber: "Nd"
        case .letterNumber: "Nl"
        case .otherNumber: "No"
        case .connectorPunctuation: "Pc"
        case .dashPunctuation: "Pd"
        case .openPunctuation: "Ps"
        case .closePunctuation: "Pe"
        case .initialPunctuation: "Pi"
        case .finalPunctuation: "Pf"
        case .otherPunctuation: "Po"
        case .mathSymbol: "Sm"
        case .currencySymbol: "Sc"
        case .modifierSymbol: "Sk"
        case .otherSymbol: "So"
        case .spaceSeparator: "Zs"
        case .lineSeparator: "Zl"
        case .paragraphSeparator: "Zp"
        case .control: "Cc"
        case .format: "Cf"
        case .surrogate: "Cs"
        case .privateUse: "Co"
        case .unassigned: ""
        @unknown default: ""
        }
    }
}
