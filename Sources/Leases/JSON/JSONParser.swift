extension JSONValue {
    /// Reads one JSON value that fills `bytes`, by RFC 8259 to the letter.
    ///
    /// Two things are stricter than Go: invalid UTF-8 is refused where Go puts U+FFFD, and nesting deeper than
    /// `depthLimit` is refused (Go's own limit is 10,000). Half of a surrogate pair in an escape becomes U+FFFD, as in
    /// Go, since it can't be held in a string.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8 without a byte order mark.
    ///   - sizeLimit: the most bytes that are looked at all; more are refused unread.
    ///   - depthLimit: how many arrays and objects may be open at once.
    public init(parsing bytes: [UInt8], sizeLimit: Int = 1 << 20, depthLimit: Int = 64) throws(JSONError) {
        guard bytes.count <= sizeLimit else {
            throw JSONError(reason: "\(bytes.count) bytes, more than the \(sizeLimit) allowed,", offset: sizeLimit)
        }
        var parser = JSONParser(bytes: bytes, depthLimit: depthLimit)
        self = try parser.document()
    }
}

/// A recursive-descent reader over an array, the only copy of what it reads.
struct JSONParser {
    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0
    private let depthLimit: Int

    init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value()
        skipSpace()
        guard index == bytes.count else { throw unexpected("the end") }
        return value
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x0a, 0x0d, 0x09: index += 1
            default: return
            }
        }
    }

    private func unexpected(_ wanted: String) -> JSONError {
        guard let byte = current else {
            return JSONError(reason: "the text ends where \(wanted) should be,", offset: index)
        }
        let shown = (0x21..<0x7f).contains(byte) ? "'\(Unicode.Scalar(byte))'" : "byte 0x\(String(byte, radix: 16))"
        return JSONError(reason: "\(shown) where \(wanted) should be,", offset: index)
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        skipSpace()
        guard let byte = current else { throw unexpected("a value") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw unexpected("a value")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let end = index + text.utf8CodeUnitCount
        guard end <= bytes.count, bytes[index..<end].elementsEqual(text.description.utf8) else {
            throw unexpected("true, false or null")
        }
        index = end
        return value
    }

    private mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= depthLimit else {
            throw JSONError(reason: "nested deeper than \(depthLimit) levels", offset: index)
        }
        index += 1
        skipSpace()
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        try enter()
        var members: [JSONValue.Member] = []
        if current == UInt8(ascii: "}") {
            index += 1
        } else {
            // What is nested is BackendData with its two members, kept for each lease; the outermost object goes at once.
            members.reserveCapacity(depth > 1 ? 2 : 8)
            while true {
                skipSpace()
                guard current == UInt8(ascii: "\"") else { throw unexpected("a member's name") }
                let name = try string()
                skipSpace()
                guard current == UInt8(ascii: ":") else { throw unexpected("':'") }
                index += 1
                members.append(JSONValue.Member(name, try value()))
                guard try another(closing: UInt8(ascii: "}")) else { break }
            }
        }
        depth -= 1
        return .object(members)
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        try enter()
        var elements: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            index += 1
        } else {
            while true {
                elements.append(try value())
                guard try another(closing: UInt8(ascii: "]")) else { break }
            }
        }
        depth -= 1
        return .array(elements)
    }

    /// Whether a comma, and so another element, follows; the closing bracket is passed.
    private mutating func another(closing: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        switch current {
        case UInt8(ascii: ","):
            index += 1
            return true
        case closing:
            index += 1
            return false
        default:
            throw unexpected("',' or '\(Unicode.Scalar(closing))'")
        }
    }

    private mutating func number() throws(JSONError) -> String {
        let start = index
        if current == UInt8(ascii: "-") { index += 1 }
        if current == UInt8(ascii: "0") {
            index += 1
        } else {
            try digits()
        }
        if current == UInt8(ascii: ".") {
            index += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            index += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { index += 1 }
            try digits()
        }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func digits() throws(JSONError) {
        let start = index
        while index < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) { index += 1 }
        guard index > start else { throw unexpected("a digit") }
    }

    private mutating func string() throws(JSONError) -> String {
        let start = index
        index += 1
        var seen: UInt8 = 0
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                let text = bytes[start + 1..<index]
                index += 1
                // Most strings are ASCII, which needs no check.
                return seen < 0x80 ? String(decoding: text, as: UTF8.self) : try validated(text, start)
            case UInt8(ascii: "\\"):
                return try escapedString(start)
            case 0..<0x20:
                throw unexpected("a character of a string")
            default:
                seen |= byte
                index += 1
            }
        }
        throw unexpected("'\"'")
    }

    private func validated(_ text: some Collection<UInt8>, _ start: Int) throws(JSONError) -> String {
        guard let string = String(validating: text, as: UTF8.self) else {
            throw JSONError(reason: "a string that is not UTF-8", offset: start)
        }
        return string
    }

    /// The whole string once it is known to hold an escape, the first being at `index`.
    private mutating func escapedString(_ start: Int) throws(JSONError) -> String {
        var text = Array(bytes[start + 1..<index])
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return try validated(text, start)
            case UInt8(ascii: "\\"):
                index += 1
                try escape(into: &text)
            case 0..<0x20:
                throw unexpected("a character of a string")
            default:
                text.append(byte)
                index += 1
            }
        }
        throw unexpected("'\"'")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = current else { throw unexpected("an escape") }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            index += 1
            let scalar = try escapedScalar()
            text.append(contentsOf: String(Character(scalar)).utf8)
            return
        default: throw unexpected("one of \"\\/bfnrtu")
        }
        index += 1
    }

    private mutating func escapedScalar() throws(JSONError) -> Unicode.Scalar {
        let replacement: Unicode.Scalar = "\u{fffd}"
        let first = try hexUnit()
        guard (0xd800..<0xdc00).contains(first) else { return Unicode.Scalar(first) ?? replacement }
        let second = index
        guard current == UInt8(ascii: "\\"), index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "u") else {
            return replacement
        }
        index += 2
        let low = try hexUnit()
        guard (0xdc00..<0xe000).contains(low) else {
            // Not the other half, but a character of its own.
            index = second
            return replacement
        }
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (low - 0xdc00)) ?? replacement
    }

    private mutating func hexUnit() throws(JSONError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            switch current {
            case let byte? where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
                unit = unit << 4 | UInt32(byte - UInt8(ascii: "0"))
            case let byte? where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20):
                unit = unit << 4 | UInt32((byte | 0x20) - UInt8(ascii: "a") + 10)
            default:
                throw unexpected("a hexadecimal digit")
            }
            index += 1
        }
        return unit
    }
}
