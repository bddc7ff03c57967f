#!/bin/sh
# Installs the Debian or Ubuntu packages that the build and the lab need, and only those that are missing; with the word
# "test", those of the tests too, where this is root: Docker and QEMU. Says nothing when all is there.
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=""
need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need ip iproute2
need bridge iproute2
need nsenter util-linux
need sysctl procps
need busybox busybox-static
need etcd etcd-server
need etcdctl etcd-client
need iperf3 iperf3
need nft nftables
need iptables iptables
# gRPC's transport and swift-nio-extras link zlib.
[ -e /usr/include/zlib.h ] || missing="$missing zlib1g-dev"

# Without root the tests that need these are skipped.
if [ "${1:-}" = test ] && [ "$(id -u)" = 0 ]; then
    need dockerd docker.io
    need ping iputils-ping
    need python3 python3
    need qemu-system-x86_64 qemu-system-x86
    need ovs-vsctl openvswitch-switch
    need tc iproute2
    need setpriv util-linux
    need mmdebstrap mmdebstrap
    need mkfs.ext4 e2fsprogs
    need ldd libc-bin
    need strip binutils
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
fi

# Containers have no C library, so a busybox that loads one is of no use (Ubuntu's package "busybox" is such a one).
case " $missing " in
*" busybox-static "*) ;;
*) if ldd "$(command -v busybox)" 2>/dev/null | grep -q '=>'; then missing="$missing busybox-static"; fi ;;
esac

# shellcheck disable=SC2086 # a list
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
[ -n "${missing# }" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing: $missing" >&2
    echo "There is no apt-get here: install these packages' programs by your system's means." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "Missing: $missing" >&2
    echo "Installing packages needs root: run the same command with sudo." >&2
    exit 1
fi

echo "Installing: $missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
our_policy=

enabled() {
    command -v systemctl >/dev/null 2>&1 || return 0
    systemctl --root=/ list-unit-files --no-legend --state=enabled --type=service,socket 2>/dev/null |
        cut -d ' ' -f 1
}
before=$(enabled)

# Services that packages bring (etcd on port 2379) are not wanted: policy-rc.d keeps them from starting now, and those
# that this run has enabled are disabled, so that they don't start at the next boot.
finish() {
    [ -z "$our_policy" ] || rm -f "$policy"
    new=
    for unit in $(enabled); do
        printf '%s\n' "$before" | grep -qxF "$unit" || new="$new $unit"
    done
    if [ -n "$new" ]; then
        # shellcheck disable=SC2086 # a list of units
        if systemctl disable $new >"$log" 2>&1; then
            echo "Installed and left disabled:$new"
        else
            echo "These start at the next boot, since systemctl disable failed:$new" >&2
            tail -n 5 "$log" >&2
        fi
    fi
    rm -f "$log"
}
trap finish EXIT
# dash runs the trap of EXIT when the shell exits, but not when a signal ends it.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ ! -e "$policy" ]; then
    our_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed; the end of its output is above." >&2
    exit 1
fi
