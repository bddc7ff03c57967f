import Foundation

/// Everything of a host that a flannel daemon could have changed, as lines, so that what one left behind can be seen.
///
/// Left out are what the test itself has made (the container's bridge, `docker0` and its port), numbers that the kernel
/// counts up, what peers' traffic teaches the kernel, and the length of a queue that a virtual device does not have (Go's
/// netlink library sets 0).
struct HostSnapshot: Equatable {
    var lines: [String]

    init(lines: [String]) { self.lines = lines }

    init(_ host: LabHost) throws {
        let script = """
            ip -o -d link | grep -vE ': (docker0|cv)[@:]' | sed -E 's/^[0-9]+: /link /; s/ (ifid|link-netnsid|qlen) [0-9]+//g'
            ip -o addr | grep -vE ' (docker0|cv) ' | sed -E 's/^[0-9]+: /addr /'
            for f in -4 -6; do
                ip $f rule | sed "s/^/rule $f /"
                ip $f route show table all | grep -vE 'dev (docker0|cv)' | sed "s/^/route $f /"
                ip $f -o nexthop | sed "s/^/nexthop $f /"
            done
            ip neigh show nud permanent | grep -vE 'dev (docker0|cv)' | sed 's/^/neigh /'
            bridge fdb show | grep 'dev flannel' | sed 's/^/fdb /'
            tools="iptables-nft ip6tables-nft"
            # To ask iptables-legacy would load its tables.
            ! grep -qs . /proc/net/ip_tables_names || tools="$tools iptables-legacy"
            ! grep -qs . /proc/net/ip6_tables_names || tools="$tools ip6tables-legacy"
            for t in $tools; do
                $t-save 2>/dev/null | grep -v '^#' | sed -E "s/ *\\\\[[0-9]+:[0-9]+\\\\]//; s/^/$t /"
            done
            nft list tables | grep -vE '^table ip6? (filter|nat|mangle|raw|security)$' | while read -r t f n; do
                nft -s list table "$f" "$n" | sed 's/^/nft /'
            done
            sysctl -a 2>/dev/null | grep -E '^net\\\\.ipv[46]\\\\.(conf|neigh)\\\\.|^net\\\\.ipv4\\\\.(ip_|fwmark)' \\
                | grep -vE '\\\\.(docker0|cv)\\\\.|ip_local' | sed 's/^/sysctl /'
            """.replacing("\\\\", with: "\\")
        lines = try host.shell(script).split(separator: "\n").map { line in
            line.replacing("\\", with: " ").split(separator: " ").joined(separator: " ")
        }
        // A TUN device has no MAC, and makes up another link-local address each time that it is made.
        lines.removeAll { line in
            line.contains("stable_secret") || line.contains("stable-privacy")
                || (line.hasPrefix("route -6 local fe80::") && line.contains("dev flannel0 "))
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: host.directory)
        lines += files.filter { !$0.hasSuffix(".log") }.map { "file \($0)" }
        lines += host.subnetFileText.split(separator: "\n").map { "file subnet.env: \($0)" }
    }

    /// What the host has once nothing changes any more: what a start leaves to threads, and the kernel's duplicate address
    /// detection, takes a moment.
    static func atRest(_ host: LabHost) async throws -> HostSnapshot {
        var last = try HostSnapshot(host)
        try await eventually("\(host.namespace) is at rest") {
            try await Task.sleep(for: .seconds(1))
            let now = try HostSnapshot(host)
            defer { last = now }
            return now == last && !now.lines.contains { $0.contains("tentative") }
        }
        return last
    }

    /// How this differs from `other`, a line each: `- ` for what is missing here, `+ ` for what is here alone. Of rules
    /// the order counts too, which a line that moved shows.
    func differences(from other: HostSnapshot) -> [String] {
        lines.difference(from: other.lines).map { change in
            switch change {
            case .insert(_, let line, _): "+ \(line)"
            case .remove(_, let line, _): "- \(line)"
            }
        }.sorted()
    }
}

extension LabHost {
    /// As the host was before any daemon ran: no overlay, no rules, no subnet file.
    func reset() throws {
        try shell(
            """
            for link in $(ip -o link | grep -oE 'flannel[^:@ ]*' | sort -u); do ip link del $link; done
            ip route flush proto 119
            ip nexthop flush proto 119
            ip route flush root 10.0.0.0/8 proto boot
            nft flush ruleset
            for t in iptables ip6tables; do
                for table in $(cat /proc/net/$(echo $t | sed s/tables//)_tables_names); do
                    t=${t%-legacy}-legacy
                    $t -t $table -F
                    $t -t $table -X
                done
            done
            """)
        try? FileManager.default.removeItem(atPath: subnetFile)
    }
}
