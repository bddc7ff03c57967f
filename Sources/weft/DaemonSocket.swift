import AsyncHTTPClient
import Glibc
import Leases
import LinuxSystem
import NIOCore
import Operations

/// Where a daemon on this host answers.
struct DaemonSocket: Sendable {
    let path: String

    /// Where daemons put theirs unless told otherwise, beside the subnet file.
    static let folder = "/run/flannel"

    /// The sockets of the daemons on this host, by name.
    static func all(in folder: String = folder) -> [DaemonSocket] {
        Folder.names(in: folder).filter { $0.hasSuffix(".sock") }.sorted().map { DaemonSocket(path: "\(folder)/\($0)") }
    }

    /// Asks the daemon.
    ///
    /// - Throws: ``StatusError`` that says what stands in the way, and what to do.
    func report() async throws(StatusError) -> StatusReport {
        let bytes = try await body()
        do {
            return try StatusReport(json: try JSONValue(parsing: bytes, sizeLimit: Self.limit))
        } catch {
            throw StatusError("\(path): the answer is not understood: \(error)", "run weft and weftd of one version")
        }
    }

    private static let limit = 64 << 20

    private func body() async throws(StatusError) -> [UInt8] {
        guard access(path, F_OK) == 0 else {
            throw StatusError(
                "\(path) is not there",
                "see that weftd runs (systemctl status weftd); one with another --subnet-file is asked with --socket")
        }
        guard access(path, W_OK) == 0 else { throw StatusError("\(path): no permission", "run weft status as root") }
        // The client goes on trying for as long as it may.
        guard (try? UnixSocketPath(path: path).isListening()) == true else {
            throw StatusError("\(path): weftd does not run", "start it; journalctl -u weftd says why it ended")
        }
        do {
            let escaped = path.utf8.map { $0 == UInt8(ascii: "/") ? "%2F" : Self.escape($0) }.joined()
            let response = try await HTTPClient.shared.execute(
                HTTPClientRequest(url: "http+unix://\(escaped)/status"), timeout: .seconds(10))
            let body = try await response.body.collect(upTo: Self.limit)
            return Array(body.readableBytesView)
        } catch {
            throw StatusError("\(path): nobody answers (\(error))", "see its log: journalctl -u weftd")
        }
    }

    private static func escape(_ byte: UInt8) -> String {
        let character = Character(UnicodeScalar(byte))
        if character.isASCII, character.isLetter || character.isNumber || "-._~".contains(character) {
            return String(character)
        }
        let digits = String(byte, radix: 16, uppercase: true)
        return digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
    }
}

/// Why a daemon does not say how it is.
struct StatusError: Error, CustomStringConvertible {
    let description: String

    init(_ cause: String, _ remedy: String) { description = "\(cause): \(remedy)" }
}
