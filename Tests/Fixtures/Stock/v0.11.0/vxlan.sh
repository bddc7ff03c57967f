# The kernel state of 172.30.0.11 under flannel v0.11.0, case vxlan. Made by Scripts/capture-stock.py.
ip link add flannel.1 address 52:a1:8c:aa:03:a4 mtu 1450 type vxlan id 1 local 172.30.0.11 dev eth0 dstport 8472 nolearning
sysctl -qw net/ipv6/conf/flannel.1/accept_ra=1
ip addr add 10.5.33.0/32 dev flannel.1
ip link set flannel.1 up
ip neigh add 10.5.47.0 lladdr 8a:2e:69:6b:5f:43 dev flannel.1 nud permanent
bridge fdb add 8a:2e:69:6b:5f:43 dev flannel.1 dst 172.30.0.12 self permanent
ip -4 route add 10.5.47.0/24 via 10.5.47.0 dev flannel.1 onlink proto boot
iptables-restore --noflush <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -s 10.5.0.0/16 -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN
-A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
-A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.33.0/24 -j RETURN
-A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE --random-fully
COMMIT
END
