import Logging
import Synchronization

/// Says that etcd takes no notice of the configured user, once, and not with each session.
final class IgnoredUser: Sendable {
    private let isSaid = Mutex(false)

    func say(_ user: String, at endpoint: EtcdEndpoint, to logger: Logger) {
        let isNew = isSaid.withLock { isSaid in
            defer { isSaid = true }
            return !isSaid
        }
        guard isNew else { return }
        logger.warning(
            "etcd does not use authentication; the user is ignored",
            metadata: ["endpoint": "\(endpoint)", "user": "\(user)"])
    }
}
