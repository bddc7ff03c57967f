# The kernel state of 172.30.0.11 under flannel v0.11.0, case udp. Made by Scripts/capture-stock.py.
ip tuntap add flannel0 mode tun
ip link set flannel0 mtu 1472 txqueuelen 500
sysctl -qw net/ipv6/conf/flannel0/accept_ra=1
ip addr add 10.5.60.0/32 dev flannel0
ip link set flannel0 up
ip -4 route add 10.5.0.0/16 dev flannel0 proto boot
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
-A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.60.0/24 -j RETURN
-A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE --random-fully
COMMIT
END
