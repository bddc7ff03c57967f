#!/bin/sh
# An operator's own rules: in comes what belongs to a connection of ours, ssh, etcd, and the tunnel. Nothing else.
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp -m multiport --dports 22,2379,2380 -j ACCEPT
iptables -A INPUT -p udp --dport 8472 -j ACCEPT
iptables -P INPUT DROP
iptables -P FORWARD DROP
