import CLinux
import Glibc

/// A system call that failed: which one, on what, and the kernel's error number.
public struct SystemCallError: Error, Hashable, Sendable {
    /// The error number, as in errno(3).
    public let code: CInt
    /// The call's name, as in the manual: `setns`, `open`.
    public let call: String
    /// What the call was made on: a path, an interface, an address. Empty when there is nothing to name.
    public let subject: String

    /// All fields as given.
    public init(code: CInt, call: String, subject: String = "") {
        self.code = code
        self.call = call
        self.subject = subject
    }
}

extension SystemCallError: CustomStringConvertible {
    /// For example `open /run/flannel: Permission denied (needs root, or CAP_NET_ADMIN and write access)`.
    public var description: String {
        let what = subject.isEmpty ? call : "\(call) \(subject)"
        let reason = Errno.message(code)
        return Errno.remedy(code).map { "\(what): \(reason) (\($0))" } ?? "\(what): \(reason)"
    }
}

/// What an error number means, in words.
public enum Errno {
    /// The C library's text for the number.
    public static func message(_ code: CInt) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count) == 0 else {
                return "error \(code)"
            }
            return String(cString: base)
        }
    }

    /// What an operator can do about it, where that does not depend on the call.
    public static func remedy(_ code: CInt) -> String? {
        switch code {
        case EPERM, EACCES: "run as root, or grant CAP_NET_ADMIN and access to the file"
        case EROFS: "the file system is read-only; mount it writable or choose another path"
        case ENOSPC: "the disk is full; free space on it"
        case EMFILE, ENFILE: "too many open files; raise LimitNOFILE in the unit"
        case EAFNOSUPPORT: "this kernel lacks the address family; load its module or use a kernel that has it"
        case EOPNOTSUPP: "this kernel lacks the feature; load its module or use a kernel that has it"
        default: nil
        }
    }
}

/// Runs a system call that reports failure with -1 and errno; starts it again when a signal interrupts it.
///
/// - Throws: ``SystemCallError`` with errno, `call` and `subject`.
@discardableResult
public func systemCall<Result: SignedInteger>(
    _ call: StaticString, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemCallError) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code != EINTR { throw SystemCallError(code: code, call: "\(call)", subject: subject()) }
    }
}
