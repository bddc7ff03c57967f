/// What a daemon says of its host and of every peer: what `weft status` shows. Texts are for people, and stand as the
/// daemon's log has them; addresses and prefixes are as `ip` writes them.
public struct StatusReport: Hashable, Sendable {
    /// The version of the form; a member that is added leaves it.
    public static let schema = 1

    /// The daemon's version.
    public var version: String
    /// What `/readyz` says.
    public var isReady: Bool
    /// What is wrong, the worst first.
    public var conditions: [Condition] = []
    /// `nil` before the host holds a lease.
    public var host: Host?
    /// By subnet.
    public var peers: [Peer] = []
    /// Keys in the registry that are no leases.
    public var ignored: [IgnoredKey] = []

    /// With nothing known of the host yet.
    public init(version: String, isReady: Bool) {
        self.version = version
        self.isReady = isReady
    }

    /// A ``HealthCondition`` that holds.
    public struct Condition: Hashable, Sendable {
        /// ``HealthCondition``'s raw value.
        public var name: String
        /// `error` or `warning`.
        public var severity: String
        /// What it means, and what was seen.
        public var text: String
        /// What an operator does about it.
        public var remedy: String

        /// All fields as given.
        public init(name: String, severity: String, text: String, remedy: String) {
            self.name = name
            self.severity = severity
            self.text = text
            self.remedy = remedy
        }
    }

    /// This host.
    public struct Host: Hashable, Sendable {
        /// The leased subnet of each family.
        public var subnets: [String]
        /// The lease is an operator's reservation.
        public var isReservation: Bool
        /// The backend's name, with its data plane where it has several: `vxlan`, `udp (userspace)`.
        public var backend: String
        /// The external interface.
        public var interface: String
        /// Where other hosts send to.
        public var addresses: [String]
        /// What containers may send, in bytes.
        public var mtu: UInt32
        /// The backend's own interfaces; of a backend without any, the external one.
        public var devices: [Device] = []

        /// With no device yet.
        public init(
            subnets: [String], isReservation: Bool, backend: String, interface: String, addresses: [String], mtu: UInt32
        ) {
            self.subnets = subnets
            self.isReservation = isReservation
            self.backend = backend
            self.interface = interface
            self.addresses = addresses
            self.mtu = mtu
        }
    }

    /// An interface, and what passed through it since it was made.
    public struct Device: Hashable, Sendable {
        /// What the kernel knows it by.
        public var name: String
        /// It is there and up.
        public var isUp: Bool
        /// Bytes.
        public var mtu: UInt32 = 0
        /// Bytes.
        public var receivedBytes: UInt64 = 0
        /// Bytes.
        public var sentBytes: UInt64 = 0
        /// Packets, dropped or bad, in both directions.
        public var dropped: UInt64 = 0

        /// With no traffic.
        public init(name: String, isUp: Bool) {
            self.name = name
            self.isUp = isUp
        }
    }

    /// Another host.
    public struct Peer: Hashable, Sendable {
        /// The leased subnet of each family.
        public var subnets: [String]
        /// Where this host sends to, or would.
        public var addresses: [String]
        /// The backend that the peer's lease names; empty for those that omit it.
        public var backend: String
        /// How packets get there, as `ip route` writes it: `via 10.5.2.0 dev flannel.1 onlink`; `nil` when they do not.
        public var path: String?
        /// The MTU on the path, in bytes.
        public var mtu: UInt32
        /// Seconds since this daemon learnt of the lease.
        public var age: Int
        /// Why the peer is not served.
        public var problem: String?

        /// All fields as given.
        public init(
            subnets: [String], addresses: [String], backend: String, path: String?, mtu: UInt32, age: Int,
            problem: String?
        ) {
            self.subnets = subnets
            self.addresses = addresses
            self.backend = backend
            self.path = path
            self.mtu = mtu
            self.age = age
            self.problem = problem
        }
    }

    /// A key that is no lease.
    public struct IgnoredKey: Hashable, Sendable {
        /// The key's last component.
        public var name: String
        /// Why.
        public var reason: String

        /// All fields as given.
        public init(name: String, reason: String) {
            self.name = name
            self.reason = reason
        }
    }
}
