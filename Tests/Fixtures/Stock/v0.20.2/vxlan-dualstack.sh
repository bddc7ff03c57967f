# The kernel state of 172.30.0.11 under flannel v0.20.2, case vxlan-dualstack. Made by Scripts/capture-stock.py.
ip link add flannel.1 address de:e1:f7:f2:bf:ca mtu 1450 type vxlan id 1 local 172.30.0.11 dev eth0 dstport 8472 nolearning
sysctl -qw net/ipv6/conf/flannel.1/accept_ra=0
ip addr add 10.5.77.0/32 dev flannel.1
ip link set flannel.1 up
ip link add flannel-v6.1 address 86:9e:b5:7a:56:85 mtu 1430 type vxlan id 1 local fd30::11 dev eth0 dstport 8472 nolearning
sysctl -qw net/ipv6/conf/flannel-v6.1/accept_ra=0
ip addr add fd00:10:5:45::/128 dev flannel-v6.1
ip link set flannel-v6.1 up
ip neigh add 10.5.101.0 lladdr 4a:cd:6a:dc:86:85 dev flannel.1 nud permanent
bridge fdb add 4a:cd:6a:dc:86:85 dev flannel.1 dst 172.30.0.12 self permanent
ip neigh add fd00:10:5:26:: lladdr de:df:ba:cc:88:fb dev flannel-v6.1 nud permanent
bridge fdb add de:df:ba:cc:88:fb dev flannel-v6.1 dst fd30::12 self permanent
ip -4 route add 10.5.101.0/24 via 10.5.101.0 dev flannel.1 onlink proto boot
ip -6 route add fd00:10:5:26::/64 via fd00:10:5:26:: dev flannel-v6.1 onlink proto boot metric 1024
iptables-restore --noflush <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.77.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
END
ip6tables-restore --noflush <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s fd00:10:5::/48 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d fd00:10:5::/48 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s fd00:10:5::/48 -d fd00:10:5::/48 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s fd00:10:5::/48 ! -d ff00::/8 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s fd00:10:5::/48 -d fd00:10:5:45::/64 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s fd00:10:5::/48 -d fd00:10:5::/48 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
END
