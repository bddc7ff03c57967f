import Testing

/// Tests against real etcds, one after the other: the machine's load must not turn into timeouts.
@Suite(.serialized, .enabled(if: EtcdServer.isInstalled, "needs /usr/bin/etcd and /usr/bin/etcdctl"))
enum EtcdTests {}
