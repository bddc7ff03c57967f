# Hosts as network namespaces of one machine, for run.py, which calls these one by one.
PATH=$PATH:/usr/sbin:/sbin

lab() { # the cable that the hosts are on, and etcd
    ip link add lab type bridge
    ip addr add 172.30.0.1/24 dev lab
    ip -6 addr add fd00:30::1/64 dev lab nodad
    ip link set lab up
    setsid etcd --data-dir /tmp/etcd --listen-client-urls http://172.30.0.1:2379 \
        --advertise-client-urls http://172.30.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 >/tmp/etcd.log 2>&1 &
    until etcdctl --endpoints http://172.30.0.1:2379 endpoint health >/dev/null 2>&1; do sleep 0.2; done
}

put() { # KEY VALUE
    ETCDCTL_API=3 etcdctl --endpoints http://172.30.0.1:2379 put "/coreos.com/network/$1" "$2" >/dev/null
}

host() { # NUMBER
    ip netns add "h$1"
    # Names of their own, since the machine has an eth0, and udev gives interfaces of one name one MAC address.
    ip link add "in$1" type veth peer name "up$1"
    ip link set "in$1" netns "h$1" name eth0
    ip link set "up$1" master lab up
    ip -n "h$1" addr add "172.30.0.1$1/24" dev eth0
    ip -n "h$1" -6 addr add "fd00:30::1$1/64" dev eth0 nodad
    ip -n "h$1" link set eth0 up
    ip -n "h$1" link set lo up
    ip netns exec "h$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # A veth hands on packets whose inner checksum is still to be made, which a real interface makes, and which no
    # userspace tunnel can know of: ETHTOOL_STXCSUM 0.
    ip netns exec "h$1" perl -e 'use Socket; socket(my $s, AF_INET, SOCK_DGRAM, 0) or die;
        my $value = pack("LL", 0x17, 0); ioctl($s, 0x8946, pack("a16P8x16", "eth0", $value)) or die "ethtool: $!"'
}

container() { # NUMBER: a container with the subnet's second address, behind the host's first
    . "/run/h$1/subnet.env"
    ip netns add "c$1"
    ip link add "con$1" type veth peer name "ctr" netns "h$1"
    ip link set "con$1" netns "c$1" name eth0
    first=${FLANNEL_SUBNET%/*}
    ip -n "h$1" addr add "$FLANNEL_SUBNET" dev ctr
    ip -n "h$1" link set ctr mtu "$FLANNEL_MTU" up
    ip -n "c$1" addr add "${first%.*}.2/${FLANNEL_SUBNET#*/}" dev eth0
    ip -n "c$1" link set eth0 mtu "$FLANNEL_MTU" up
    ip -n "c$1" link set lo up
    ip -n "c$1" route add default via "$first"
    if [ -n "${FLANNEL_IPV6_SUBNET:-}" ]; then
        ip -n "h$1" -6 addr add "$FLANNEL_IPV6_SUBNET" dev ctr nodad
        ip -n "c$1" -6 addr add "${FLANNEL_IPV6_SUBNET%%/*}2/64" dev eth0 nodad
        ip -n "c$1" -6 route add default via "${FLANNEL_IPV6_SUBNET%%/*}"
    fi
}

daemon() { # NUMBER PROGRAM
    mkdir -p "/run/h$1"
    rm -f "/run/h$1/ready"
    case $2 in
    *weftd) set -- "$1" "$2" --healthz-ip=127.0.0.1 --healthz-port=10244 ;;
    *) mkdir -p /run/flannel ;;
    esac
    number=$1
    shift
    ip netns exec "h$number" setsid "$@" --etcd-endpoints=http://172.30.0.1:2379 --iface=eth0 \
        --subnet-file="/run/h$number/subnet.env" >>"/tmp/h$number.log" 2>&1 &
    echo $! >"/run/h$number/pid"
}

stop() { # NUMBER SIGNAL
    kill "-$2" "$(cat "/run/h$1/pid")"
    while kill -0 "$(cat "/run/h$1/pid")" 2>/dev/null; do sleep 0.05; done
}

hold() { # NUMBER PORT: a program that has a UDP port
    ip netns exec "h$1" perl -MIO::Socket::INET -e '
        $s = IO::Socket::INET->new(Proto => "udp", LocalPort => $ARGV[0]) or die "bind: $@"; sleep' "$2" </dev/null \
        >/dev/null 2>&1 &
    echo $! >"/run/h$1/holder"
}

ready() { # NUMBER
    ip netns exec "h$1" timeout 5 bash -c \
        'exec 3<>/dev/tcp/127.0.0.1/10244; printf "GET /readyz HTTP/1.0\r\n\r\n" >&3; cat <&3' | sed '1,/^\r$/d'
}

address() { # NUMBER: of the container
    . "/run/h$1/subnet.env"
    first=${FLANNEL_SUBNET%/*}
    echo "${first%.*}.2"
}

address6() { # NUMBER
    . "/run/h$1/subnet.env"
    echo "${FLANNEL_IPV6_SUBNET%%/*}2"
}

transfer() { # FROM TO ADDRESS BYTES: over TCP, compared by its bytes
    port=$((5000 + RANDOM % 1000))
    head -c "$4" /dev/urandom >/tmp/sent
    rm -f /tmp/got
    timeout 60 ip netns exec "c$2" perl -MIO::Socket::IP -e '
        $l = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => $ARGV[1], Listen => 1) or die "listen: $@";
        $c = $l->accept or die "accept: $!";
        print $d while read $c, $d, 65536' "$3" $port >/tmp/got &
    listener=$!
    until ip netns exec "c$2" ss -Hltn "sport = :$port" | grep -q .; do sleep 0.05; done
    timeout 60 ip netns exec "c$1" perl -MIO::Socket::IP -e '
        $c = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1]) or die "connect: $@";
        print $c $d while read STDIN, $d, 65536;
        close $c or die "close: $!"' "$3" $port </tmp/sent
    wait $listener
    cmp /tmp/sent /tmp/got
}
