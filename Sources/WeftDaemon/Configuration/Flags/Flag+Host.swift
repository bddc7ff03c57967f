import Glibc
import IPNetwork

extension Flag {
    /// This host's interface, addresses and files.
    static let host: [Flag] = [
        Flag(
            "iface", "external interface, by name or address; the first that can be used",
            .text(placeholder: "NAME|IP") { configuration, value in
                // Manifests pass an empty value where nothing is set; flannel takes the default route's interface then.
                if !value.isEmpty { configuration.interfaces.append(value) }
                return nil
            }),
        Flag(
            "iface-regex", "expression that its name or address matches; after --iface",
            .text(placeholder: "REGEX") { configuration, value in
                guard !value.isEmpty else { return nil }
                do throws(ExpressionError) {
                    configuration.interfaceExpressions.append(try InterfaceExpression(value))
                    return nil
                } catch {
                    return "a regular expression as Go has them (\(error))"
                }
            }),
        Flag(
            "iface-can-reach", "address; the interface that the route to it leaves by; after --iface-regex",
            since: "0.18",
            .text(placeholder: "IP") { configuration, value in
                guard !value.isEmpty else {
                    configuration.interfaceReaching = nil
                    return nil
                }
                guard let address = IPAddress(value) else { return "an IP address" }
                configuration.interfaceReaching = address
                return nil
            }),
        Flag(
            "public-ip", "address at which other hosts reach this one, behind NAT",
            .text(placeholder: "IP") { configuration, value in
                guard !value.isEmpty else {
                    configuration.publicIP = nil
                    return nil
                }
                guard let address = IPv4Address(value), address.isUsableHostAddress else {
                    return "an IPv4 address that other hosts can reach"
                }
                configuration.publicIP = address
                return nil
            }),
        Flag(
            "public-ipv6", "the same over IPv6", since: "0.15",
            .text(placeholder: "IP") { configuration, value in
                guard !value.isEmpty else {
                    configuration.publicIPv6 = nil
                    return nil
                }
                guard let address = IPv6Address(value), address.isUsableHostAddress else {
                    return "an IPv6 address that other hosts can reach"
                }
                configuration.publicIPv6 = address
                return nil
            }),
        Flag(
            "subnet-file", "file that tells the container engine its subnet", default: "/run/flannel/subnet.env",
            .text(placeholder: "PATH") { configuration, value in
                guard let path = absolute(value) else { return "a path of a file" }
                configuration.subnetFile = path
                return nil
            }),
    ]

    /// A path from here on, as flannel takes it; later on only whole paths are known.
    static func absolute(_ path: String) -> String? {
        guard !path.isEmpty, !path.hasSuffix("/") else { return nil }
        if path.hasPrefix("/") { return path }
        guard let folder = getcwd(nil, 0) else { return nil }
        defer { free(folder) }
        let here = String(cString: folder)
        return here == "/" ? "/\(path)" : "\(here)/\(path)"
    }
}
