#!/bin/sh
# Runs Packaging/mk-docker-opts.sh over a table of files, environments and options and compares the output, byte for
# byte, with mk-docker-opts.expected. With MK_DOCKER_OPTS=/path/to/flannel's/script, compares with that script as well.
# "record" as the argument writes the expected output anew.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
script=$here/../../Packaging/mk-docker-opts.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/usual" <<END
FLANNEL_NETWORK=198.18.0.0/16
FLANNEL_SUBNET=198.18.19.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
END
sed s/true/false/ "$work/usual" >"$work/no-masquerading"
sed s/true/maybe/ "$work/usual" >"$work/bad-masquerading"
grep -v MTU "$work/usual" >"$work/no-mtu"
printf 'FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n' \
    >"$work/ipv6"
printf 'FLANNEL_SUBNET=198.18.4.65/26\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n' >"$work/long-prefix"
: >"$work/empty"

# Prints the exit status and the file that SCRIPT writes; what it says on standard error is for people.
one() { # SCRIPT FILE ENVIRONMENT OPTIONS
    rm -f "$work/out"
    status=0
    # shellcheck disable=SC2086 # words to be split
    env -i PATH="$PATH" ${3:+"$3"} sh "$1" -f "$work/$2" -d "$work/out" $4 2>/dev/null || status=$?
    echo "exit $status"
    # A usage error leaves no file.
    cat "$work/out" 2>/dev/null || echo "no file"
}

all() { # SCRIPT
    for file in usual no-masquerading bad-masquerading no-mtu ipv6 long-prefix empty missing; do
        for options in "" -i -c "-i -c" -m "-c -m" "-i -m" "-k OTHER_KEY" "-c -k OTHER_KEY" "-i -k OTHER_KEY" -h -z; do
            for variable in "" DOCKER_OPTS=--debug OTHER_KEY=--debug DOCKER_OPT_EXTRA=--debug FLANNEL_MTU=1400; do
                echo "== $file [$options] [$variable]"
                one "$1" "$file" "$variable" "$options"
            done
        done
    done
}

all "$script" >"$work/own"
if [ "${1:-}" = record ]; then
    cp "$work/own" "$here/mk-docker-opts.expected"
fi
diff -u "$here/mk-docker-opts.expected" "$work/own"
if [ -n "${MK_DOCKER_OPTS:-}" ]; then
    all "$MK_DOCKER_OPTS" >"$work/flannel"
    diff -u "$work/flannel" "$work/own"
    echo "the same as $MK_DOCKER_OPTS"
fi
echo "mk-docker-opts.sh: $(grep -c '^==' "$work/own") cases pass"
