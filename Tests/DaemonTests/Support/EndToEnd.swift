import Foundation
import Testing

/// Tests of the daemon as a process, with a real etcd, on hosts that are namespaces. One at a time, since
/// they count lost pings.
@Suite(
    .serialized,
    .enabled(if: getuid() == 0, "needs root"),
    .enabled(if: access("/usr/bin/etcd", X_OK) == 0, "needs /usr/bin/etcd"))
enum EndToEnd {}
