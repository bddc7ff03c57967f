import GRPCCore
import Glibc
import LinuxSystem
import NIOCore
import NIOPosix

extension StoreError {
    /// What a failed request means.
    ///
    /// etcd's own errors are told apart by their text (`rpctypes/error.go`): the same gRPC code stands for many.
    init(_ error: any Error, at endpoint: EtcdEndpoint, _ subject: RequestSubject, user: String?) {
        if let error = error as? StoreError {
            self = error
            return
        }
        if error is CancellationError || Task.isCancelled {
            self = .cancelled
            return
        }
        guard let error = error as? RPCError else {
            self.init(.unavailable, cause: "\(endpoint): \(subject.text): \(Self.innermostText(error))")
            return
        }
        let text = error.message
        let what = "\(endpoint): \(subject.text): "
        switch error.code {
        case _ where text.contains("required revision has been compacted"):
            self.init(.compacted, cause: what + "the revision is compacted")
        case _ where text.contains("no leader"):
            self.init(
                .noLeader, cause: what + "this member has no leader",
                remedy:
                    "check etcd with: etcdctl endpoint status --cluster; more than half of the members have to be up")
        case _ where text.contains("user name is empty"):
            self.init(
                .unauthenticated, cause: what + "etcd wants a user and a password",
                remedy: "set etcd-username and etcd-password")
        case _ where text.contains("invalid user ID or password"):
            self.init(
                .unauthenticated, cause: what + "wrong password, or no user \(user ?? "")",
                remedy: "check etcd-username and etcd-password")
        case _ where error.code == .unauthenticated || text.contains("revision of auth store is old"):
            self.init(.unauthenticated, cause: what + text, remedy: "check etcd-username and etcd-password")
        case .permissionDenied:
            self.init(
                .permissionDenied,
                cause: "\(what)user \(user ?? "of the certificate") may not "
                    + "\(subject.writes ? "write" : "read") \(subject.key)",
                remedy: "give a role of the user the right with: etcdctl role grant-permission ROLE --prefix=true "
                    + "readwrite \(subject.prefix)")
        case .deadlineExceeded:
            self.init(
                .timedOut, cause: what + "no answer in time",
                remedy:
                    "check that the address is right, that no firewall drops packets to it, and etcd's disk and load")
        case _ where text.contains("database space exceeded"):
            self.init(
                .noSpace, cause: what + "etcd's disk quota is used up, so that it takes no writes",
                remedy: "compact and defragment etcd, then: etcdctl alarm disarm")
        case _ where text.contains("too many requests"):
            self.init(.unavailable, cause: what + text, remedy: "etcd is overloaded: check its disk and its clients")
        case _ where error.code == .resourceExhausted || Self.reason(error).contains("maximum payload size"):
            self.init(.tooLarge, cause: what + text)
        case .unimplemented:
            self.init(
                .unsupported, cause: what + "the server does not speak etcd's v3 API",
                remedy: "etcd 3.0 or later is needed, or use the v2 API")
        case .cancelled where Task.isCancelled:
            self = .cancelled
        case .unavailable, .cancelled, .internalError, .unknown:
            let reason = Self.reason(error)
            self.init(.unavailable, cause: what + reason, remedy: Self.remedy(reason, endpoint))
        default:
            self.init(.refused, cause: "\(what)\(text) (\(error.code))")
        }
    }

    /// The deepest error's text: what the operating system or TLS said.
    static func innermostText(_ error: any Error) -> String {
        switch error {
        case let error as RPCError: reason(error)
        case let error as RuntimeError: error.cause.map(innermostText) ?? error.message
        case let error as IOError: Errno.message(error.errnoCode)
        case let error as NIOConnectionError:
            (error.connectionErrors.first.map { innermostText($0.error) })
                ?? (error.dnsAError ?? error.dnsAAAAError).map { "the name can't be resolved: \($0)" }
                ?? "can't connect"
        default: "\(error)"
        }
    }

    private static func reason(_ error: RPCError) -> String {
        error.cause.map(innermostText) ?? error.message
    }

    static func remedy(_ reason: String, _ endpoint: EtcdEndpoint) -> String? {
        let text = reason.lowercased()
        if text.contains("refused") { return "is etcd running, and is \(endpoint) one of its client URLs?" }
        if text.contains("resolve") { return "check the host name and DNS" }
        if text.contains("certificate") {
            return "check that etcd-cafile signed etcd's certificate, that it names \(endpoint.host), and the clock"
        }
        if text.contains("ssl") || text.contains("handshake") {
            return "is \(endpoint) served with TLS, and does it want etcd-certfile and etcd-keyfile?"
        }
        if text.contains("timed out") || text.contains("timeout") || text.contains("unreachable") {
            return "check the address, routes and firewalls between this host and etcd"
        }
        if text.contains("protocol") || text.contains("closed") || text.contains("preface") || text.contains("eof") {
            return endpoint.usesTLS
                ? "is it etcd 3.0 or later? An etcd that speaks only the v2 API closes such connections"
                : "is it served with TLS (then use https://), or an etcd that speaks only the v2 API?"
        }
        return nil
    }
}
