# The kernel state of 172.30.0.11 under flannel v0.11.0, case vxlan-directrouting. Made by Scripts/capture-stock.py.
ip link add flannel.1 address a2:00:1a:1b:0b:68 mtu 1450 type vxlan id 1 local 172.30.0.11 dev eth0 dstport 8472 nolearning
sysctl -qw net/ipv6/conf/flannel.1/accept_ra=1
ip addr add 10.5.42.0/32 dev flannel.1
ip link set flannel.1 up
ip -4 route add 10.5.54.0/24 via 172.30.0.12 dev eth0 proto boot
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
-A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.42.0/24 -j RETURN
-A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE --random-fully
COMMIT
END
