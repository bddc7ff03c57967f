import CLinux

/// What may be read from and written to a message as it lies in memory: any bits are a valid value, and there is no
/// padding. A protocol of its own, since `BitwiseCopyable` would let an Optional in.
protocol WireValue {}

extension UInt8: WireValue {}
extension UInt16: WireValue {}
extension UInt32: WireValue {}
extension UInt64: WireValue {}
extension UInt128: WireValue {}
extension Int32: WireValue {}

extension nlmsghdr: WireValue {}
extension nlmsgerr: WireValue {}
extension genlmsghdr: WireValue {}
extension ifinfomsg: WireValue {}
extension ifaddrmsg: WireValue {}
extension ifa_cacheinfo: WireValue {}
extension rtmsg: WireValue {}
extension rtnexthop: WireValue {}
extension ndmsg: WireValue {}
extension nhmsg: WireValue {}
extension nexthop_grp: WireValue {}
extension fib_rule_hdr: WireValue {}
extension fib_rule_port_range: WireValue {}
extension ifla_vxlan_port_range: WireValue {}
