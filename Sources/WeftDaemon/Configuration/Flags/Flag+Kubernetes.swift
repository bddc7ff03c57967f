extension Flag {
    /// Of flannel's Kubernetes subnet manager, which is not there yet. Unit files and manifests name them also where the
    /// manager is off, and flannel takes no notice of them then.
    static let kubernetes: [Flag] = [
        Flag(
            "kube-subnet-mgr", "take subnets from the Kubernetes API: not there yet", default: "false",
            standing: .limited("`false` works; `true` is refused, since this version takes its subnet from etcd alone"),
            .boolean { _, value in
                value
                    ? "false: this version takes its subnet from etcd alone; keep flanneld on this host, or give the "
                        + "cluster an etcd for the network and name it with --etcd-endpoints"
                    : nil
            }),
        unused("kube-api-url", .ignored(placeholder: "URL")),
        unused("kubeconfig-file", .ignored(placeholder: "PATH")),
        unused(
            "kube-annotation-prefix", default: "flannel.alpha.coreos.com", .ignored(placeholder: "PREFIX")),
        Flag(
            "net-config-path", "nothing while kube-subnet-mgr is false",
            default: "/etc/kube-flannel/net-conf.json", since: "0.12",
            standing: .unused(
                reason: "the network config is read from etcd; the file is the Kubernetes subnet manager's"),
            .ignored(placeholder: "PATH")),
        unused("set-node-network-unavailable", default: "true", since: "0.15", .boolean { _, _ in nil }),
        unused("use-multi-cluster-cidr", default: "false", since: "0.21", .boolean { _, _ in nil }),
    ]

    private static func unused(
        _ name: String, default defaultText: String = "", since: String = "0.11", _ value: Value
    ) -> Flag {
        Flag(
            name, "nothing while kube-subnet-mgr is false", default: defaultText, since: since,
            standing: .unused(reason: "it is the Kubernetes subnet manager's, which is off"), value)
    }
}
