import Leases
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws(JSONError) -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

    @Test(arguments: [
        (" {\"a\" : [1 , -0.5e+3, true,false,null] }\n", #"{"a":[1,-0.5e+3,true,false,null]}"#),
        ("{}", "{}"), ("[]", "[]"), ("\"\"", "\"\""), ("0", "0"), ("-0", "-0"), ("1E9", "1E9"),
        (#""\"\\\/\b\f\n\r\t""#, #""\"\\/\b\f\n\r\t""#),
        (#""\u00e9\u20ac\ud83d\ude00""#, "\"é€😀\""),
        (#""\ud83d""#, "\"\u{fffd}\""), (#""\ud83dx""#, "\"\u{fffd}x\""),
        (#""\ude00\ud83d\u0041""#, "\"\u{fffd}\u{fffd}A\""),
        ("\"<a&b>\u{2028}\u{2029}\"", #""\u003ca\u0026b\u003e\u2028\u2029""#),
        (#""\u0000\u001f""#, #""\u0000\u001f""#), ("\"\u{7f}é\"", "\"\u{7f}é\""),
        (#"{"a":1,"a":2}"#, #"{"a":1,"a":2}"#),
    ])
    func readsAndWrites(text: String, written: String) throws {
        #expect(String(decoding: try parse(text).serialised, as: UTF8.self) == written)
    }

    @Test(arguments: [
        ("", "the text ends where a value should be, at byte 0"),
        (" ", "the text ends where a value should be, at byte 1"),
        ("{", "the text ends where a member's name should be, at byte 1"),
        ("{\"a\"}", "'}' where ':' should be, at byte 4"),
        ("{\"a\":1,}", "'}' where a member's name should be, at byte 7"),
        ("{a:1}", "'a' where a member's name should be, at byte 1"),
        ("[1,]", "']' where a value should be, at byte 3"),
        ("[1 2]", "'2' where ',' or ']' should be, at byte 3"),
        ("{} x", "'x' where the end should be, at byte 3"),
        ("tru", "'t' where true, false or null should be, at byte 0"),
        ("True", "'T' where a value should be, at byte 0"),
        ("nan", "'n' where true, false or null should be, at byte 0"),
        ("01", "'1' where the end should be, at byte 1"),
        ("-", "the text ends where a digit should be, at byte 1"),
        ("1.", "the text ends where a digit should be, at byte 2"),
        ("1e", "the text ends where a digit should be, at byte 2"),
        (".5", "'.' where a value should be, at byte 0"),
        ("+1", "'+' where a value should be, at byte 0"),
        ("\"a", "the text ends where '\"' should be, at byte 2"),
        ("\"a\nb\"", "byte 0xa where a character of a string should be, at byte 2"),
        ("\"\\x\"", "'x' where one of \"\\/bfnrtu should be, at byte 2"),
        ("\"\\u12g4\"", "'g' where a hexadecimal digit should be, at byte 5"),
        ("\"\\\n\"", "byte 0xa where one of \"\\/bfnrtu should be, at byte 2"),
        ("'a'", "''' where a value should be, at byte 0"),
        ("// x", "'/' where a value should be, at byte 0"),
        ("\u{feff}{}", "byte 0xef where a value should be, at byte 0"),
    ])
    func refuses(text: String, message: String) {
        let error = #expect(throws: JSONError.self) { try parse(text) }
        #expect(error?.description == message)
    }

    @Test(
        arguments: [
            [0xff], [0xc3], [0xc3, 0x28], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82],
            [0x5c, 0x6e, 0xff],
        ] as [[UInt8]])
    func refusesInvalidUTF8(bytes: [UInt8]) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22] + bytes + [0x22]) }
        #expect(error?.description == "a string that is not UTF-8 at byte 0")
    }

    @Test func limits() throws {
        let deep = { (count: Int) in
            [UInt8](repeating: 0x5b, count: count) + [UInt8](repeating: 0x5d, count: count)
        }
        #expect(throws: Never.self) { try JSONValue(parsing: deep(64)) }
        #expect(throws: JSONError(reason: "nested deeper than 64 levels", offset: 64)) {
            try JSONValue(parsing: deep(65))
        }
        #expect(throws: JSONError.self) { try JSONValue(parsing: [UInt8](repeating: 0x5b, count: 1_000_000)) }
        #expect(throws: JSONError(reason: "3 bytes, more than the 2 allowed,", offset: 2)) {
            try JSONValue(parsing: Array("1  ".utf8), sizeLimit: 2)
        }
    }

    /// Go: `strings.EqualFold`, and the last of duplicates.
    @Test func memberByName() throws {
        let value = try parse(
            #"{"Backend":1,"bACKend":2,"\u212aey":3,"lo\u017fs":4,"Ba":5,"Backends":6,"BackenD\u0000":7}"#)
        #expect(value["Backend"] == .number("2"))
        #expect(value["BACKEND"] == .number("2"))
        #expect(value["key"] == .number("3"))
        #expect(value["loss"] == .number("4"))
        #expect(value["b"] == nil)
        #expect(value["Back"] == nil)
        #expect(JSONValue.string("x")["x"] == nil)
    }

    @Test func typedMembers() throws {
        let value = try parse(
            #"{"i":7,"n":-1,"f":1.0,"e":1e2,"q":"7","b":true,"s":"x","z":null,"o":{},"big":99999999999999999999}"#)
        #expect(try value.integer("i", in: 0...7) == 7)
        #expect(try value.integer("z", in: 0...7) == nil)
        #expect(try value.integer("missing", in: 0...7) == nil)
        for name in ["n", "f", "e", "q", "b", "o", "big"] {
            #expect(throws: FieldError.self) { try value.integer(name, in: 0...7) }
        }
        #expect(try value.bool("b") == true)
        #expect(throws: FieldError.self) { try value.bool("i") }
        #expect(try value.string("s") == "x")
        #expect(throws: FieldError.self) { try value.string("b") }
        #expect(try value.object("o") == .object([]))
        #expect(throws: FieldError.self) { try value.object("s") }
        let error = #expect(throws: FieldError.self) { try value.integer("n", in: 1...5, path: "Backend") }
        #expect(error?.description == "Backend.n is -1; allowed: a whole number from 1 to 5, without quotes")
    }
}
