import IPNetwork
import LinuxSystem
import Netlink
import Testing

/// What iproute2 sends is decoded, compared, encoded and compared again.
@Suite struct GoldenTests {
    static let eth0: Int32 = 3
    static let vx: Int32 = 5

    struct Case: Sendable, CustomTestStringConvertible {
        var capture: Capture
        var request: RouteRequest
        var testDescription: String { capture.command }
    }

    static let cases: [Case] = {
        guard
            let mac = MACAddress("8e:01:02:03:04:05"), let flat = InterfaceName("flat.7"),
            let v0 = InterfaceName("v0"), let br7 = InterfaceName("br7"),
            let vlan = InterfaceName("eth0.7"), let mv = InterfaceName("mv"), let iv = InterfaceName("iv")
        else { return [] }
        let mine = RouteProtocol(rawValue: 84)
        var vxlan = VXLANSettings(
            vni: 7, port: 8472, local: IPAddress("172.30.0.11"), lower: eth0, learning: false, gbp: true, ttl: 33)
        vxlan.udpChecksum = false
        var metrics = RouteMetrics()
        metrics.mtu = 1400
        metrics.advertisedSegmentSize = 1360
        var rule = Rule(
            family: .v4, priority: 100, source: prefix("10.0.0.0/8"), table: 1000, mark: 0x4000, mask: 0xff00,
            isInverted: true, ipProtocol: 6, destinationPorts: 80...90, proto: mine)
        rule.suppressPrefixLength = 0
        return [
            Case(
                capture: .createVXLAN,
                request: .createLink(NewLink(name: flat, kind: .vxlan(vxlan), mtu: 1450, hardwareAddress: mac))),
            Case(
                capture: .createVeth,
                request: .createLink(
                    NewLink(name: v0, kind: .veth(peer: VethPeer(name: InterfaceName("v1"))), mtu: 1400))),
            Case(
                capture: .createBridge,
                request: .createLink(NewLink(name: br7, kind: .bridge(BridgeSettings(vlanFiltering: true))))),
            Case(
                capture: .createVLAN,
                request: .createLink(NewLink(name: vlan, kind: .vlan(VLANSettings(id: 7)), lower: eth0))),
            Case(
                capture: .createMACVLAN,
                request: .createLink(NewLink(name: mv, kind: .macvlan(MACVLANSettings()), lower: eth0))),
            Case(
                capture: .createIPVLAN,
                request: .createLink(
                    NewLink(name: iv, kind: .ipvlan(IPVLANSettings(mode: .layer3, flags: 0)), lower: eth0))),
            Case(capture: .setUp, request: .changeLink(LinkChange(index: eth0, isUp: true))),
            Case(
                capture: .addAddress4,
                request: .addAddress(
                    Address(
                        interface: eth0, address: ip("10.0.19.0"), prefixLength: 32,
                        broadcast: IPv4Address("10.0.19.0"), label: "eth0:1", scope: .link, flags: .noPrefixRoute,
                        validLifetime: 3600, preferredLifetime: 1800))),
            Case(
                capture: .addAddress6,
                request: .addAddress(
                    Address(interface: eth0, address: ip("fd00::1"), prefixLength: 64, flags: .noDuplicateDetection))),
            Case(
                capture: .routeOnlink,
                request: .addRoute(
                    Route(
                        destination: prefix("10.5.34.0/24"), proto: mine,
                        path: .single(NextHop(gateway: ip("10.5.34.0"), interface: eth0, onlink: true))))),
            Case(
                capture: .routeMetrics,
                request: .replaceRoute(
                    Route(
                        destination: prefix("10.7.0.0/16"), table: 1000, proto: .static, tos: 0x10, metric: 5,
                        preferredSource: ip("192.0.2.1"),
                        path: .single(NextHop(gateway: ip("192.0.2.9"), interface: eth0)), metrics: metrics))),
            Case(
                capture: .routeMultipath,
                request: .addRoute(
                    Route(
                        destination: prefix("10.9.0.0/16"),
                        path: .multipath([
                            NextHop(gateway: ip("192.0.2.7"), interface: eth0, weight: 3),
                            NextHop(gateway: ip("10.5.35.0"), interface: eth0, onlink: true),
                        ])))),
            Case(
                capture: .routeVia6,
                request: .addRoute(
                    Route(
                        destination: prefix("10.10.0.0/16"),
                        path: .single(NextHop(gateway: ip("2001:db8::9"), interface: eth0))))),
            Case(
                capture: .routeBlackhole,
                request: .addRoute(Route(destination: prefix("10.8.0.0/16"), type: .blackhole, path: .none))),
            Case(
                capture: .route6,
                request: .addRoute(
                    Route(
                        destination: prefix("fd00:5::/64"), proto: mine, metric: 1024,
                        path: .single(NextHop(gateway: ip("fd00:5::"), interface: eth0, onlink: true)), preference: 1))
            ),
            Case(
                capture: .routeEncap,
                request: .addRoute(
                    Route(
                        destination: prefix("10.11.0.0/16"),
                        path: .single(
                            NextHop(
                                gateway: ip("192.0.2.9"), interface: eth0,
                                encapsulation: NextHop.Encapsulation(
                                    type: 2,
                                    attributes: [
                                        Attribute(type: 1, UInt64(7).bigEndian),
                                        Attribute(type: 2, value: [192, 0, 2, 77]),
                                    ])))))),
            Case(
                capture: .neighbour,
                request: .replaceNeighbour(Neighbour(interface: vx, address: ip("10.5.34.0"), linkLayer: mac))),
            Case(
                capture: .neighbour6,
                request: .replaceNeighbour(
                    Neighbour(interface: vx, address: ip("fd00::34"), linkLayer: mac, flags: .router))),
            Case(
                capture: .fdb,
                request: .replaceForwardingEntry(
                    ForwardingEntry(interface: vx, mac: mac, destination: ip("172.30.0.11")))),
            Case(
                capture: .fdbAppend,
                request: .appendForwardingEntry(
                    ForwardingEntry(
                        interface: vx, mac: MACAddress(rawValue: 0), destination: ip("172.30.0.12"), vni: 9, port: 4789)
                )
            ),
            Case(
                capture: .nexthop,
                request: .replaceNexthop(
                    NexthopObject(id: 17, interface: eth0, gateway: ip("10.5.34.0"), onlink: true, proto: mine))),
            Case(
                capture: .nexthopGroup,
                request: .replaceNexthop(
                    NexthopObject(id: 19, group: [.init(id: 17, weight: 4), .init(id: 18, weight: 1)]))),
            Case(
                capture: .routeNexthop,
                request: .addRoute(
                    Route(destination: prefix("10.12.0.0/16"), path: .nexthopObject(id: 17, resolved: nil)))),
            Case(capture: .rule, request: .addRule(rule)),
            Case(
                capture: .rule6,
                request: .addRule(
                    Rule(
                        family: .v6, priority: 101, destination: prefix("fd00::/8"), table: 77,
                        inputInterface: InterfaceName("eth0")))),
        ]
    }()

    @Test func everyCaptureIsUsed() { #expect(Self.cases.count == 25) }

    @Test(arguments: cases) func encoded(_ example: Case) throws {
        let ours = try Message(example.request.encoded(), for: example.capture)
        let theirs = try Message(example.capture.bytes, for: example.capture)
        #expect(ours == theirs)
    }

    @Test(arguments: cases) func decoded(_ example: Case) throws {
        let events = try NetlinkEvent.decode(datagram: example.capture.bytes)
        switch example.request {
        case .addAddress(let address): #expect(events == [.addressChanged(address)])
        case .addRoute(let route), .replaceRoute(let route): #expect(events == [.routeChanged(route)])
        case .replaceNeighbour(let neighbour): #expect(events == [.neighbourChanged(neighbour)])
        case .replaceForwardingEntry(let entry), .appendForwardingEntry(let entry):
            #expect(events == [.forwardingEntryChanged(entry)])
        case .replaceNexthop(let nexthop): #expect(events == [.nexthopChanged(nexthop)])
        case .addRule(let rule): #expect(events == [.ruleChanged(rule)])
        case .createLink(let new):
            guard case .linkChanged(let link) = events.first else {
                Issue.record("\(events)")
                return
            }
            #expect(link.name == new.name && link.kind == new.kind && link.mtu == new.mtu ?? 0)
            #expect(link.hardwareAddress == new.hardwareAddress)
        default: #expect(events.isEmpty)
        }
    }

    @Test func vxlanDump() throws {
        guard case .linkChanged(let link) = try NetlinkEvent.decode(datagram: Capture.dumpVXLAN.bytes).first else {
            Issue.record("no link")
            return
        }
        #expect(link.name.text == "flat.7" && link.mtu == 1450 && link.type == 1)
        #expect(link.hardwareAddress == MACAddress("8e:01:02:03:04:05") && link.statistics != nil)
        guard case .vxlan(let settings) = link.kind else {
            Issue.record("no vxlan")
            return
        }
        #expect(settings.vni == 7 && settings.gbp && !settings.learning && settings.ageing == 300)
        #expect(settings.sourcePorts == 0...0 && settings.doNotFragment == 0)
        #expect(link.otherAttributes.contains { $0.number == 13 }, "IFLA_TXQLEN, which has no field, is kept")
    }

    @Test func dumps() throws {
        let addresses = try NetlinkEvent.decode(datagram: Capture.dumpAddresses.bytes)
        #expect(addresses.count == 2)
        let routes = try NetlinkEvent.decode(datagram: Capture.dumpRoutes4.bytes)
        guard case .routeChanged(let route) = routes.first else {
            Issue.record("\(routes)")
            return
        }
        #expect(route.table == 1000 && route.metric == 5 && route.metrics.mtu == 1400)
        let entries = try NetlinkEvent.decode(datagram: Capture.dumpFDB.bytes)
        #expect(entries.count == 2)
        let neighbours = try NetlinkEvent.decode(datagram: Capture.dumpNeighbours.bytes)
        #expect(neighbours.count >= 1)
        let rules = try NetlinkEvent.decode(datagram: Capture.dumpRules.bytes)
        #expect(rules.contains { if case .ruleChanged(let rule) = $0 { rule.priority == 100 } else { false } })
        let nexthops = try NetlinkEvent.decode(datagram: Capture.dumpNexthops.bytes)
        #expect(nexthops.count == 3)
    }

    @Test func unknownAttributesAreKept() throws {
        let odd = Attribute(type: 0x3ffe, value: [1, 2, 3])
        let route = Route(
            destination: prefix("10.5.34.0/24"), path: .single(NextHop(interface: 3)), otherAttributes: [odd])
        let events = try NetlinkEvent.decode(datagram: RouteRequest.addRoute(route).encoded())
        #expect(events == [.routeChanged(route)])
    }
}

/// A message without what does not matter: the order of attributes, the sequence number, the asked-for
/// acknowledgement, and the closing zero of a kind's name.
struct Message: Equatable {
    var type: UInt16
    var flags: UInt16
    var header: [UInt8]
    var attributes: [String]

    init(_ bytes: [UInt8], for capture: Capture) throws {
        type = UInt16(bytes[4]) | UInt16(bytes[5]) << 8
        flags = (UInt16(bytes[6]) | UInt16(bytes[7]) << 8) & ~4
        let size = [16: 16, 20: 8, 24: 12, 28: 12, 32: 12, 104: 8][Int(type)] ?? 0
        header = Array(bytes[16..<16 + size])
        attributes = try Self.flatten(Attribute(type: 0, value: Array(bytes[(16 + size)...])).nested(), under: "")
    }

    private static func flatten(_ attributes: [Attribute], under path: String) throws -> [String] {
        try attributes.flatMap { attribute -> [String] in
            let place = path + "/\(attribute.type)"
            // IFLA_LINKINFO and IFLA_INFO_DATA
            if attribute.number == 18 && path == "" || place == "/18/2" && attribute.value.count > 4,
                let nested = try? attribute.nested()
            {
                return try flatten(nested, under: place)
            }
            let value = place == "/18/1" ? attribute.value.filter { $0 != 0 } : attribute.value
            return ["\(place)=\(value)"]
        }.sorted()
    }
}

func ip(_ text: String) -> IPAddress { IPAddress(text) ?? .v4(.any) }
func prefix(_ text: String) -> IPPrefix {
    IPv4Prefix(text).map { .v4($0) } ?? IPv6Prefix(text).map { .v6($0) } ?? .all(.v4)
}
