/// Values as Go's `strconv` takes them, which flannel's flags are parsed with.
enum GoSyntax {
    /// `strconv.ParseBool`.
    static func boolean(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "TRUE", "true", "True": true
        case "0", "f", "F", "FALSE", "false", "False": false
        default: nil
        }
    }

    /// `strconv.ParseInt` with base 0: an optional sign, then decimal, `0x`, `0o`, a leading `0` for octal, or `0b`.
    /// Single underscores may stand between digits and after the base.
    static func integer(_ text: String) -> Int? {
        var digits = text[...]
        var sign = ""
        if let first = digits.first, first == "-" || first == "+" {
            sign = first == "-" ? "-" : ""
            digits.removeFirst()
        }
        var radix = 10
        var mayBeginWithUnderscore = false
        if digits.first == "0", digits.count > 1 {
            mayBeginWithUnderscore = true
            let mark = digits[digits.index(after: digits.startIndex)]
            switch mark {
            case "x", "X": radix = 16
            case "o", "O": radix = 8
            case "b", "B": radix = 2
            default: radix = 8
            }
            digits = digits.dropFirst(mark.isLetter ? 2 : 1)
        }
        guard !digits.isEmpty, hasGoodUnderscores(digits, mayBegin: mayBeginWithUnderscore) else { return nil }
        let plain = digits.filter { $0 != "_" }
        guard plain.first != "+", plain.first != "-" else { return nil }
        return Int(sign + plain, radix: radix)
    }

    private static func hasGoodUnderscores(_ digits: Substring, mayBegin: Bool) -> Bool {
        var isAfterDigit = mayBegin
        for character in digits {
            if character == "_", !isAfterDigit { return false }
            isAfterDigit = character != "_"
        }
        return isAfterDigit
    }
}
