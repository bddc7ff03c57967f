import CLinux
import IPNetwork

// Swift imports the kernel's unnamed enumerations as Int and its named ones as structures; these let both be written
// alike.

func ~= (pattern: rtattr_type_t, number: Int) -> Bool { Int(pattern.rawValue) == number }

extension MessageWriter {
    mutating func attribute<Value: WireValue & BitwiseCopyable>(_ type: rtattr_type_t, _ value: Value) {
        attribute(Int(type.rawValue), value)
    }

    mutating func attribute(_ type: rtattr_type_t, _ address: IPAddress) {
        attribute(Int(type.rawValue), address)
    }

    mutating func nested(_ type: rtattr_type_t, _ body: (inout MessageWriter) -> Void) {
        nested(Int(type.rawValue), body)
    }
}
