import CLinux
import Glibc
import IPNetwork

/// Which peer a destination is reached through, and which source a peer may send from: the longest matching prefix.
///
/// Immutable; the tunnel swaps it as a whole.
public final class NextHopTable: Sendable {
    /// A peer's socket address, once for all its subnets.
    struct Endpoint {
        var address: sockaddr_storage
        var length: socklen_t
        var isIPv6: Bool
    }

    /// What stands for this host's own subnets in the maps.
    static let local = UInt32.max
    /// What stands for no peer at all.
    static let none = UInt32.max - 1

    // Written by `init` alone and freed by `deinit`.
    private nonisolated(unsafe) let endpoints: UnsafeMutablePointer<Endpoint>
    private let endpointCount: Int
    private let v4: RangeMap<UInt32>
    private let v6: RangeMap<UInt128>
    private let peersV4: RangeMap<UInt32>
    private let peersV6: RangeMap<UInt128>

    /// - Parameters:
    ///   - nextHops: of two for the same prefix the later one counts.
    ///   - local: this host's own subnets; packets from peers may go to these alone, unless ``SourceCheck/none``.
    public init(_ nextHops: [NextHop] = [], local: [IPPrefix] = []) {
        var indexes: [NextHop: UInt32] = [:]
        var list: [Endpoint] = []
        var v4: [(prefix: IPv4Prefix, value: UInt32)] = []
        var v6: [(prefix: IPv6Prefix, value: UInt32)] = []
        var peersV4: [(prefix: IPv4Prefix, value: UInt32)] = []
        var peersV6: [(prefix: IPv6Prefix, value: UInt32)] = []
        for hop in nextHops {
            // The key: a next hop for everything, so that subnets of one endpoint share their entry.
            let key = NextHop(prefix: .v4(.all), endpoint: hop.endpoint, port: hop.port)
            let index = indexes[key] ?? UInt32(list.count)
            if indexes.updateValue(index, forKey: key) == nil {
                list.append(Endpoint(address: hop.endpoint, port: hop.port))
                switch hop.endpoint {
                case .v4(let address): peersV4.append((IPv4Prefix(host: address), index))
                case .v6(let address): peersV6.append((IPv6Prefix(host: address), index))
                }
            }
            switch hop.prefix {
            case .v4(let prefix): v4.append((prefix, index))
            case .v6(let prefix): v6.append((prefix, index))
            }
        }
        for prefix in local {
            switch prefix {
            case .v4(let prefix): v4.append((prefix, Self.local))
            case .v6(let prefix): v6.append((prefix, Self.local))
            }
        }
        endpointCount = list.count
        endpoints = .allocate(capacity: max(list.count, 1))
        endpoints.initialize(from: list, count: list.count)
        self.v4 = RangeMap(v4)
        self.v6 = RangeMap(v6)
        self.peersV4 = RangeMap(peersV4)
        self.peersV6 = RangeMap(peersV6)
    }

    deinit {
        endpoints.deallocate()
        v4.deallocate()
        v6.deallocate()
        peersV4.deallocate()
        peersV6.deallocate()
    }

    /// The table's memory without its owner, for the loops: copying it counts no references.
    var view: NextHopView {
        NextHopView(
            endpoints: endpoints, endpointCount: endpointCount, v4: v4, v6: v6, peersV4: peersV4, peersV6: peersV6)
    }
}

extension NextHopTable.Endpoint {
    init(address: IPAddress, port: UInt16) {
        self.init(address: sockaddr_storage(), length: 0, isIPv6: address.isIPv6)
        length = SocketAddress.write(address, port, to: &self.address)
    }
}

/// A ``NextHopTable`` as the loops read it. Valid while the table lives, which ``NextHopPublisher`` sees to.
struct NextHopView {
    let endpoints: UnsafeMutablePointer<NextHopTable.Endpoint>
    let endpointCount: Int
    let v4: RangeMap<UInt32>
    let v6: RangeMap<UInt128>
    let peersV4: RangeMap<UInt32>
    let peersV6: RangeMap<UInt128>

    /// The number of the endpoint for an inner destination, ``NextHopTable/local``, or ``NextHopTable/none``.
    @inline(__always) func destination(_ packet: PacketBytes, isIPv6: Bool) -> UInt32 {
        (isIPv6 ? v6.lookUp(packet.key128(24)) : v4.lookUp(packet.uint32(16))) ?? NextHopTable.none
    }

    /// The number of the endpoint that owns an inner source.
    @inline(__always) func source(_ packet: PacketBytes, isIPv6: Bool) -> UInt32 {
        (isIPv6 ? v6.lookUp(packet.key128(8)) : v4.lookUp(packet.uint32(12))) ?? NextHopTable.none
    }

    /// The number of a peer with the address of `sender`, on any port: a kernel's Foo-over-UDP sends from many.
    @inline(__always) func peer(_ sender: PacketBytes) -> UInt32 {
        // sockaddr_in has its address at 4, sockaddr_in6 at 8.
        let isIPv6 = Int32(sender.native16(0)) == AF_INET6
        return (isIPv6 ? peersV6.lookUp(sender.key128(8)) : peersV4.lookUp(sender.uint32(4))) ?? NextHopTable.none
    }

    /// Whether an endpoint has the address of `sender`.
    @inline(__always) func endpoint(_ number: UInt32, isAt sender: PacketBytes) -> Bool {
        guard Int(number) < endpointCount else { return false }
        let own = PacketBytes(start: UnsafeMutableRawPointer(endpoints + Int(number)), count: 28)
        guard own.native16(0) == sender.native16(0) else { return false }
        return Int32(own.native16(0)) == AF_INET6
            ? own.native64(8) == sender.native64(8) && own.native64(16) == sender.native64(16)
            : own.native32(4) == sender.native32(4)
    }
}

extension PacketBytes {
    @inline(__always) fileprivate func key128(_ offset: Int) -> UInt128 {
        UInt128(uint64(offset)) &<< 64 | UInt128(uint64(offset &+ 8))
    }
}
