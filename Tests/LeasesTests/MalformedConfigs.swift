/// Configs that are refused, with the whole message.
let malformedConfigs: [(String, String)] = [
    (
        #""#,
        #"network config is not JSON (the text ends where a value should be, at byte 0); allowed: an object such as {"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#
    ),
    (
        #"null"#,
        #"network config is null; allowed: an object such as {"Network":"10.5.0.0/16"}"#
    ),
    (
        #"[]"#,
        #"network config is []; allowed: an object such as {"Network":"10.5.0.0/16"}"#
    ),
    (
        #""x""#,
        #"network config is "x"; allowed: an object such as {"Network":"10.5.0.0/16"}"#
    ),
    (
        #"{"#,
        #"network config is not JSON (the text ends where a member's name should be, at byte 1); allowed: an object such as {"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#
    ),
    (
        #"{"Network":"10.5.0.0/16",}"#,
        #"network config is not JSON ('}' where a member's name should be, at byte 25); allowed: an object such as {"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#
    ),
    (
        #"{"Network":"10.5.0.0/16"} {}"#,
        #"network config is not JSON ('{' where the end should be, at byte 26); allowed: an object such as {"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#
    ),
    (
        #"{}"#,
        #"network config: Network is missing; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":null}"#,
        #"network config: Network is null; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":5}"#,
        #"network config: Network is 5; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":""}"#,
        #"network config: Network is ""; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"10.5.0.0"}"#,
        #"network config: Network is "10.5.0.0"; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"10.5.0.0/33"}"#,
        #"network config: Network is "10.5.0.0/33"; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"10.5.0.0/-1"}"#,
        #"network config: Network is "10.5.0.0/-1"; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"10.5.0/16"}"#,
        #"network config: Network is "10.5.0/16"; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"fd00::/48"}"#,
        #"network config: Network is "fd00::/48"; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"0.0.0.0/0"}"#,
        #"network config: Network is "0.0.0.0/0"; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"10.5.0.0/29"}"#,
        #"network config: Network is "10.5.0.0/29"; allowed: a prefix of /28 or shorter, which holds four subnets of /30"#
    ),
    (
        #"{"Network":"10.5.0.0/32"}"#,
        #"network config: Network is "10.5.0.0/32"; allowed: a prefix of /28 or shorter, which holds four subnets of /30"#
    ),
    (
        #"{"Network":"127.0.0.0/16"}"#,
        #"network config: Network is "127.0.0.0/16"; allowed: a prefix outside 127.0.0.0/8, where hosts can't have addresses"#
    ),
    (
        #"{"Network":"224.0.0.0/8"}"#,
        #"network config: Network is "224.0.0.0/8"; allowed: a prefix outside 224.0.0.0/4, where hosts can't have addresses"#
    ),
    (
        #"{"Network":"0.0.0.0/4"}"#,
        #"network config: Network is "0.0.0.0/4"; allowed: a prefix outside 0.0.0.0/8, where hosts can't have addresses"#
    ),
    (
        #"{"Network":["10.5.0.0/16"]}"#,
        #"network config: Network is ["10.5.0.0/16"]; allowed: an IPv4 prefix such as "10.5.0.0/16""#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":31}"#,
        #"network config: SubnetLen is 31; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":17}"#,
        #"network config: SubnetLen is 17; allowed: 18 to 30, since Network 10.5.0.0/16 must hold at least four subnets"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":16}"#,
        #"network config: SubnetLen is 16; allowed: 18 to 30, since Network 10.5.0.0/16 must hold at least four subnets"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":-24}"#,
        #"network config: SubnetLen is -24; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":24.5}"#,
        #"network config: SubnetLen is 24.5; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":"24"}"#,
        #"network config: SubnetLen is "24"; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":2.4e1}"#,
        #"network config: SubnetLen is 2.4e1; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":99999999999999999999}"#,
        #"network config: SubnetLen is 99999999999999999999; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":true}"#,
        #"network config: SubnetLen is true; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetLen":[24]}"#,
        #"network config: SubnetLen is [24]; allowed: a whole number from 0 to 30, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"}"#,
        #"network config: SubnetMin is "10.6.0.0"; allowed: an address in Network 10.5.0.0/16"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.1"}"#,
        #"network config: SubnetMin is "10.5.1.1"; allowed: the first address of a /24, such as 10.5.1.0"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.1"}"#,
        #"network config: SubnetMin is "10.5.1"; allowed: an IPv4 address such as "10.5.1.0""#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":""}"#,
        #"network config: SubnetMin is ""; allowed: an IPv4 address such as "10.5.1.0""#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":null}"#,
        #"network config: SubnetMin is null; allowed: an IPv4 address such as "10.5.1.0""#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":167772160}"#,
        #"network config: SubnetMin is 167772160; allowed: an IPv4 address such as "10.5.1.0""#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.8.0"}"#,
        #"network config: SubnetMin is "10.5.9.0"; allowed: at most SubnetMax, which is 10.5.8.0"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMax":"10.4.255.0"}"#,
        #"network config: SubnetMax is "10.4.255.0"; allowed: an address in Network 10.5.0.0/16"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMax":"10.5.255.255"}"#,
        #"network config: SubnetMax is "10.5.255.255"; allowed: the first address of a /24, such as 10.5.255.0"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMax":"fd00::"}"#,
        #"network config: SubnetMax is "fd00::"; allowed: an IPv4 address such as "10.5.1.0""#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMax":"10.5.0.0"}"#,
        #"network config: SubnetMax is "10.5.0.0"; allowed: at least SubnetMin, which is 10.5.1.0"#
    ),
    (
        #"{"Network":"10.5.0.0/16","SubnetMax":{}}"#,
        #"network config: SubnetMax is {}; allowed: an IPv4 address such as "10.5.1.0""#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv4":"true"}"#,
        #"network config: EnableIPv4 is "true"; allowed: true or false, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv4":1}"#,
        #"network config: EnableIPv4 is 1; allowed: true or false, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv4":false}"#,
        #"network config: EnableIPv4 is false; allowed: true, or set EnableIPv6 to true for an IPv6-only overlay"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableNFTables":0}"#,
        #"network config: EnableNFTables is 0; allowed: true or false, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":"yes"}"#,
        #"network config: EnableIPv6 is "yes"; allowed: true or false, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true}"#,
        #"network config: IPv6Network is missing; allowed: an IPv6 prefix such as "fd00:10:5::/48""#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":"vxlan"}"#,
        #"network config: Backend is "vxlan"; allowed: an object in braces"#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":[]}"#,
        #"network config: Backend is []; allowed: an object in braces"#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":null}"#,
        #"network config: Backend.Type is missing; allowed: a backend's name such as "vxlan" or "host-gw""#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":{}}"#,
        #"network config: Backend.Type is missing; allowed: a backend's name such as "vxlan" or "host-gw""#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":{"VNI":1}}"#,
        #"network config: Backend.Type is missing; allowed: a backend's name such as "vxlan" or "host-gw""#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":{"Type":5}}"#,
        #"network config: Backend.Type is 5; allowed: a string in quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":{"Type":""}}"#,
        #"network config: Backend.Type is ""; allowed: a backend's name such as "vxlan" or "host-gw""#
    ),
    (
        #"{"Network":"10.5.0.0/16","Backend":{"Type":null}}"#,
        #"network config: Backend.Type is missing; allowed: a backend's name such as "vxlan" or "host-gw""#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/125"}"#,
        #"network config: IPv6Network is "fd00::/125"; allowed: a prefix of /124 or shorter, which holds four subnets of /126"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"10.0.0.0/8"}"#,
        #"network config: IPv6Network is "10.0.0.0/8"; allowed: an IPv6 prefix such as "fd00:10:5::/48""#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"::/0"}"#,
        #"network config: IPv6Network is "::/0"; allowed: an IPv6 prefix such as "fd00:10:5::/48""#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"ff00::/16"}"#,
        #"network config: IPv6Network is "ff00::/16"; allowed: a prefix outside ff00::/8, where hosts can't have addresses"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetLen":127}"#,
        #"network config: IPv6SubnetLen is 127; allowed: a whole number from 0 to 126, without quotes"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetLen":49}"#,
        #"network config: IPv6SubnetLen is 49; allowed: 50 to 126, since IPv6Network fd00::/48 must hold at least four subnets"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetMin":"fd01::"}"#,
        #"network config: IPv6SubnetMin is "fd01::"; allowed: an address in IPv6Network fd00::/48"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetMin":"fd00::1"}"#,
        #"network config: IPv6SubnetMin is "fd00::1"; allowed: the first address of a /64, such as fd00::"#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetMax":"fd00::1:0:0:1"}"#,
        #"network config: IPv6SubnetMax is "fd00::1:0:0:1"; allowed: the first address of a /64, such as fd00::"#
    ),
    (
        #"{"Network":"10.5.0.0/16","IPv6Network":"bad"}"#,
        #"network config: IPv6Network is "bad"; allowed: an IPv6 prefix such as "fd00:10:5::/48""#
    ),
    (
        #"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":null}"#,
        #"network config: IPv6Network is null; allowed: an IPv6 prefix such as "fd00:10:5::/48""#
    ),
]
